/* Waiting for a revision: the API answers when all nodes have it, one refused it, or its share of the time is over. */
#include "cli/wait.h"

#include "cli/client.h"
#include "core/base/clock.h"

enum { DEFAULT_MS = 60000, STEP_S = 10 };

static int tell(struct cli *cli, const char *revision, const struct json *status)
{
    long long synced = json_int_or(json_get(status, "synced"), 0), rejected = json_int_or(json_get(status, "rejected"), 0);
    const char *error = json_str(json_get(status, "error"), "");
    if (*error != '\0')
        return cli_fail(cli, CLI_DIFFERENT, "revision %s cannot be made into a configuration, the last good one stays: %s", revision, error);
    if (rejected != 0)
        return cli_fail(cli, CLI_DIFFERENT, "revision %s: %lld node(s) refused it and stay on their last good one; see selvedge nodes", revision, rejected);
    if (synced == 0) {
        fprintf(cli->out, "revision %s is compiled; no node is connected to run it\n", revision);
        return CLI_OK;
    }
    fprintf(cli->out, "revision %s is live on %lld node(s)\n", revision, synced);
    return CLI_OK;
}

int cli_wait_revision(struct cli *cli, const char *revision)
{
    uint64_t until_ms = clock_mono_ms() + (cli->options.timeout != 0 ? cli->options.timeout : DEFAULT_MS);
    for (;;) {
        struct cli_answer answer;
        uint64_t now_ms = clock_mono_ms();
        unsigned wait_s = now_ms < until_ms ? (unsigned)MIN((until_ms - now_ms + 999) / 1000, (uint64_t)STEP_S) : 0;
        struct cli_request request = {.path = arena_printf(cli->arena, "/selvedge/v1/revisions/%s/status?wait=%u", revision, wait_s),
                                      .timeout_ms = (wait_s + 20) * 1000};
        int status = cli_call(cli, &request, &answer);
        if (status != CLI_OK)
            return status;
        long long pending = json_int_or(json_get(answer.json, "pending"), 0);
        bool is_compiled = json_is_true(json_get(answer.json, "compiled"));
        if (is_compiled && (pending == 0 || *json_str(json_get(answer.json, "error"), "") != '\0'))
            return tell(cli, revision, answer.json);
        if (clock_mono_ms() >= until_ms)
            return cli_fail(cli, CLI_DIFFERENT, "revision %s: time is over, %s", revision,
                            is_compiled ? arena_printf(cli->arena, "%lld node(s) do not run it yet; see selvedge nodes", pending) : "it is not compiled yet");
    }
}
