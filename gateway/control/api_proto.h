/* Bodies in Kubernetes' protobuf form: typed clients (kubectl since 1.32: create namespace, secret, configmap, service; auth
 * can-i) send nothing else for the kinds that have one. Read only; answers are JSON, which all of them take. */
#ifndef SELVEDGE_CONTROL_API_PROTO_H
#define SELVEDGE_CONTROL_API_PROTO_H

#include "core/base/json.h"

#define API_PROTO_MEDIA_TYPE "application/vnd.kubernetes.protobuf"

/* The document as the same client would have written it in JSON: members at their zero value are left out where JSON leaves
 * them out. Pure. NULL and ERR_BAD_REQUEST (malformed; a field that is not known and says something) or ERR_MEDIA_TYPE (a
 * kind that is not read in this form). */
struct json *api_proto_read(struct arena *arena, struct slice body, struct err *err);

#endif
