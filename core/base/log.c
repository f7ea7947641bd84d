/* The programs' own log. */
#include "core/base/log.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/strbuf.h"

#include <stdarg.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *program_name = "selvedge";
static enum log_level threshold = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    threshold = level;
}

int log_parse_level(const char *name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); ++i) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

bool log_is_on(enum log_level level)
{
    return level >= threshold;
}

static void add_field(struct strbuf *line, const char *name, const char *value)
{
    strbuf_adds(line, ",\"");
    strbuf_adds(line, name);
    strbuf_adds(line, "\":");
    json_quote(line, slice_of(value != NULL ? value : ""));
}

void log_event(enum log_level level, const char *msg, ...)
{
    if (!log_is_on(level))
        return;
    struct strbuf line = STRBUF_INIT;
    char ts[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339_us(clock_wall_us(), ts);
    strbuf_addf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"program\":\"%s\"", ts, level_names[level], program_name);
    add_field(&line, "msg", msg);
    va_list args;
    va_start(args, msg);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;)
        add_field(&line, name, va_arg(args, const char *));
    va_end(args);
    strbuf_adds(&line, "}\n");
    ssize_t written = write(STDERR_FILENO, line.base, line.len);
    (void)written; /* a log that can't be written has nowhere to say so */
    strbuf_clear(&line);
}

void log_err(enum log_level level, const char *msg, const struct err *err)
{
    log_event(level, msg, "error", err->text, NULL);
}
