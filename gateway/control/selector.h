/* Label and field selectors, as kubectl and the Kubernetes API write them.
 *
 * Labels: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x,y)`, `a`, `!a`, joined by commas; all must hold. `!=` and
 * `notin` also hold when the label is absent. Fields: `metadata.name` and `metadata.namespace` with `=`, `==`, `!=`;
 * any other field is refused by name.
 * Threads: a parsed selector is read-only. Ownership: parsed parts are the arena's, the text may go.
 * Limits: 4 KiB of text, 64 requirements, 256 values. */
#ifndef SELVEDGE_CONTROL_SELECTOR_H
#define SELVEDGE_CONTROL_SELECTOR_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/strbuf.h"

struct ctl_label {
    struct slice key, value;
};

enum ctl_requirement_op { CTL_EXISTS, CTL_ABSENT, CTL_IN, CTL_NOT_IN };

struct ctl_requirement {
    struct slice key;
    enum ctl_requirement_op op; /* `=` is IN with one value, `!=` NOT_IN */
    struct slice *values;
    size_t num_values;
};

/* All zero selects everything. */
struct ctl_selector {
    struct ctl_requirement *requirements;
    size_t num;
};

/* ERR_BAD_REQUEST names the place. An empty text selects everything. */
int ctl_selector_parse(struct arena *arena, struct slice text, struct ctl_selector *ret, struct err *err);
/* `labels` sorted by key, each key once. */
bool ctl_selector_matches(const struct ctl_selector *selector, const struct ctl_label *labels, size_t num);
/* In one canonical form, which parses to the same. */
void ctl_selector_write(struct strbuf *out, const struct ctl_selector *selector);
struct ctl_selector ctl_selector_copy(struct arena *arena, const struct ctl_selector *selector);

enum ctl_field { CTL_FIELD_NAME, CTL_FIELD_NAMESPACE };

struct ctl_field_requirement {
    enum ctl_field field;
    bool is_not;
    struct slice value;
};

struct ctl_field_selector {
    struct ctl_field_requirement *requirements;
    size_t num;
};

/* In values `\,` `\=` and `\\` stand for the character. */
int ctl_field_selector_parse(struct arena *arena, struct slice text, struct ctl_field_selector *ret, struct err *err);
bool ctl_field_selector_matches(const struct ctl_field_selector *selector, struct slice ns, struct slice name);
struct ctl_field_selector ctl_field_selector_copy(struct arena *arena, const struct ctl_field_selector *selector);

#endif
