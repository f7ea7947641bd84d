/* A cli whose output is kept. */
#ifndef SELVEDGE_TESTS_UNIT_CLI_CLI_FIXTURE_H
#define SELVEDGE_TESTS_UNIT_CLI_CLI_FIXTURE_H

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct cli_fixture {
    struct cli cli;
    char *out, *err;
    size_t out_len, err_len;
};

static inline struct cli *cli_fixture_open(struct cli_fixture *fixture)
{
    *fixture = (struct cli_fixture){0};
    fixture->cli = (struct cli){.out = open_memstream(&fixture->out, &fixture->out_len),
                                .err = open_memstream(&fixture->err, &fixture->err_len),
                                .arena = arena_new(0)};
    return &fixture->cli;
}

/* What was written so far. */
static inline const char *cli_fixture_out(struct cli_fixture *fixture)
{
    fflush(fixture->cli.out);
    return fixture->out;
}

static inline const char *cli_fixture_err(struct cli_fixture *fixture)
{
    fflush(fixture->cli.err);
    return fixture->err;
}

static inline void cli_fixture_close(struct cli_fixture *fixture)
{
    fclose(fixture->cli.out);
    fclose(fixture->cli.err);
    free(fixture->out);
    free(fixture->err);
    arena_free(fixture->cli.arena);
}

#endif
