/* Cohort keys: what of a request decides which share of a weighted rule it belongs to, so that a user stays with a version
 * while weights move. Written by users as an annotation of a route, for no standard kind has a field for it. */
#ifndef SELVEDGE_MODEL_COHORT_H
#define SELVEDGE_MODEL_COHORT_H

#include "core/base/arena.h"
#include "core/base/err.h"

/* "cookie:NAME", "header:NAME" or "client" (the client's address); several, separated by commas: the first that a
 * request has. Names are HTTP tokens. */
#define COHORT_ANNOTATION "selvedge.dev/cohort"
enum { COHORT_SOURCES_MAX = 8 };

enum cfg_cohort_from { CFG_COHORT_HEADER, CFG_COHORT_COOKIE, CFG_COHORT_CLIENT };

struct cfg_cohort_source {
    enum cfg_cohort_from from;
    struct slice name; /* header: lower case; client: {NULL,0} */
};

/* The list lives in `arena`. ERR_INVALID "\"cooky:a\" is not cookie:NAME, header:NAME or client". */
int cohort_parse(struct arena *arena, struct slice text, struct cfg_cohort_source **ret, uint32_t *ret_num, struct err *err);

#endif
