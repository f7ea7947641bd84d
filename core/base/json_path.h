/* Where in a document an error is: `spec.rules[0].matches`. Private to core/base/json*.c and yaml.c. */
#ifndef SELVEDGE_BASE_JSON_PATH_H
#define SELVEDGE_BASE_JSON_PATH_H

#include "core/base/defs.h"

#include <stdio.h>

enum { JSON_PATH_TEXT_MAX = 256 };

/* One open container and where in it we are. An object without a key is between two members. */
struct json_path_step {
    bool is_array;
    uint32_t index;
    struct slice key;
};

/* `out` has JSON_PATH_TEXT_MAX bytes; a longer path ends in "…". Control characters are shown as '?'. */
void json_path_write(char *out, const struct json_path_step *steps, unsigned num);
/* `out` has JSON_PATH_TEXT_MAX bytes. */
void json_path_printable(char *out, struct slice text);

#endif
