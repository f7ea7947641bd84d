/* Which plain (unquoted) YAML scalars are not strings. Private to core/base/yaml*.c. */
#ifndef SELVEDGE_BASE_YAML_SCALAR_H
#define SELVEDGE_BASE_YAML_SCALAR_H

#include "core/base/json.h"

enum yaml_scalar {
    YAML_SCALAR_STRING,
    YAML_SCALAR_NULL,
    YAML_SCALAR_TRUE,
    YAML_SCALAR_FALSE,
    YAML_SCALAR_NUMBER,
    YAML_SCALAR_NOT_JSON, /* infinities, NaN, integers beyond 64 bits in hexadecimal or octal */
};

/* YAML 1.2 core schema (section 10.3.2). */
enum yaml_scalar yaml_scalar_kind(struct slice text);
/* A number of that schema in JSON's grammar. */
struct slice yaml_scalar_number(struct arena *arena, struct slice text);
/* Whether YAML 1.1 readers, too, take this plain text for a string: what we write is read by others. */
bool yaml_scalar_is_safe_string(struct slice text);

#endif
