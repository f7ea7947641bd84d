/* PCRE2 with JIT. The match data and the JIT stack are per thread, made once: matching allocates nothing. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/route/regex.h"

#include "core/model/pattern.h"

#include <pcre2.h>
#include <pthread.h>

/* A typical route pattern takes some tens of steps on a 100-byte path; 20,000 leave room for alternations of hundreds of
 * names, and bound a hostile pair of pattern and path to well under a millisecond. */
enum { MAX_SUBJECT = 8192, MATCH_LIMIT = 20000, DEPTH_LIMIT = 500, HEAP_LIMIT_KB = 256 };

struct rt_regex {
    pcre2_code *code;
};

struct scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
};

static pthread_key_t scratch_key;
static __thread struct scratch *scratch;

static void scratch_free(void *arg)
{
    struct scratch *s = arg;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    free(s);
}

static void scratch_key_new(void)
{
    (void)pthread_key_create(&scratch_key, scratch_free); /* without it a thread's few hundred bytes leak at its end */
}

static struct scratch *thread_scratch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (LIKELY(scratch != NULL))
        return scratch;
    pthread_once(&once, scratch_key_new);
    scratch = xcalloc(1, sizeof(*scratch));
    scratch->match = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    if (scratch->match == NULL || scratch->context == NULL)
        abort();
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_set_depth_limit(scratch->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(scratch->context, HEAP_LIMIT_KB);
    (void)pthread_setspecific(scratch_key, scratch);
    return scratch;
}

struct rt_regex *rt_regex_new(struct slice pattern, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    if (pattern.len > PATTERN_MAX) {
        err_set(err, ERR_INVALID, "regular expression is longer than %d bytes", PATTERN_MAX);
        return NULL;
    }
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.base, pattern.len, PATTERN_OPTIONS, &code, &at, NULL);
    if (compiled == NULL) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(code, text, sizeof(text));
        err_set(err, ERR_INVALID, "regular expression: %s at offset %zu", (const char *)text, (size_t)at);
        return NULL;
    }
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* where it fails the interpreter serves */
    struct rt_regex *regex = xmalloc(sizeof(*regex));
    regex->code = compiled;
    return regex;
}

struct rt_regex *rt_regex_free(struct rt_regex *regex)
{
    if (regex == NULL)
        return NULL;
    pcre2_code_free(regex->code);
    free(regex);
    return NULL;
}

bool rt_regex_matches(const struct rt_regex *regex, struct slice subject)
{
    if (subject.len > MAX_SUBJECT)
        return false;
    struct scratch *s = thread_scratch();
    return pcre2_match(regex->code, (PCRE2_SPTR)subject.base, subject.len, 0, 0, s->match, s->context) >= 0;
}
