/* The OpenAPI v2 document as a tree and in protobuf form. Pure; the tree is the arena's. */
#ifndef SELVEDGE_CONTROL_API_OPENAPI_H
#define SELVEDGE_CONTROL_API_OPENAPI_H

#include "core/base/json.h"

struct json *api_openapi_v2_document(struct arena *arena);
/* As gnostic's openapi.v2.Document, which older kubectl reads. Appends. */
void api_openapi_write_proto(struct strbuf *out, const struct json *document);

#endif
