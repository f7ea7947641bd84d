/* Between jsonpath.c (reads templates) and jsonpath_find.c (finds and writes what they name). */
#ifndef SELVEDGE_CLI_JSONPATH_PRIVATE_H
#define SELVEDGE_CLI_JSONPATH_PRIVATE_H

#include "cli/jsonpath.h"

enum step_type { STEP_MEMBER, STEP_ANY, STEP_DEEP, STEP_SLICE, STEP_UNION, STEP_FILTER };
enum compare { IS_THERE, IS_EQ, IS_NE, IS_LT, IS_LE, IS_GT, IS_GE };

struct step {
    enum step_type type;
    struct slice name;         /* MEMBER; DEEP: "" is everything below */
    long from, to, by;         /* SLICE */
    long *indexes;             /* UNION */
    size_t num_indexes;
    struct step *left, *right; /* FILTER: paths from the item; right NULL: `value` */
    struct json *value;
    enum compare compare;
    struct step *next;
};

enum part_type { PART_TEXT, PART_PATH, PART_RANGE, PART_END };

struct part {
    enum part_type type;
    struct slice text;
    struct step *steps;
    struct part *next;
};

struct cli_jsonpath {
    struct part *parts;
};

#endif
