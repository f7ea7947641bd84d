/* selvedge edit: an object in an editor, as YAML; written back when it was changed.
 *
 * A refused text is opened again with the reasons above it, until it is taken, left as it is, or emptied. When somebody else
 * was faster (409), the text is kept in its file and nothing is overwritten. */
#include "cli/live.h"
#include "cli/resource.h"

#include "core/base/files.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20, TRIES = 5 };

static const char help[] = "# Change the object below and save. Lines that begin with # are left out; an empty file ends without a change.\n";

struct edit {
    struct cli *cli;
    const struct kind *kind;
    const char *ns, *name;
    char path[256];
    struct slice shown; /* what the editor was last given, without comments */
    struct json *original; /* the object as it was, without what the server keeps */
    const char *complaint; /* NULL: none */
};

static const char *editor(void)
{
    static const char *const names[] = {"SELVEDGE_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR"};
    for (size_t i = 0; i < ARRAY_LEN(names); ++i)
        if (getenv(names[i]) != NULL && *getenv(names[i]) != '\0')
            return getenv(names[i]);
    return "vi";
}

/* Through the shell: EDITOR may have arguments ("code --wait"). */
static int run_editor(struct edit *edit)
{
    char *argv[] = {"sh", "-c", (char *)arena_printf(edit->cli->arena, "%s \"$1\"", editor()), "sh", edit->path, NULL};
    int status = 0;
    fflush(edit->cli->out);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0)
        return cli_fail(edit->cli, CLI_LOCAL, "cannot start an editor: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_fail(edit->cli, CLI_LOCAL, "the editor \"%s\" failed; nothing was changed", editor());
    return CLI_OK;
}

static void add_comment(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text += strcspn(text, "\n") + (text[strcspn(text, "\n")] != '\0'))
        strbuf_addf(out, "# %.*s\n", (int)strcspn(text, "\n"), text);
}

static int write_file(struct edit *edit)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    strbuf_adds(&text, help);
    if (edit->complaint != NULL) {
        strbuf_adds(&text, "#\n");
        add_comment(&text, edit->complaint);
    }
    strbuf_adds(&text, "#\n");
    strbuf_add_slice(&text, edit->shown);
    int status = file_write_atomic(edit->path, strbuf_slice(&text), 0600, &err);
    strbuf_clear(&text);
    return status != 0 ? cli_fail_err(edit->cli, &err) : CLI_OK;
}

/* The file without the comment lines. */
static int read_file(struct edit *edit, struct slice *ret)
{
    struct strbuf text = STRBUF_INIT, kept = STRBUF_INIT;
    struct err err = ERR_INIT;
    if (file_read(edit->path, FILE_MAX, &text, &err) != 0)
        return cli_fail_err(edit->cli, &err);
    const char *head = text.base != NULL ? text.base : "";
    while (*head == '#') /* only those at the top: a # below may stand in a text */
        head += strcspn(head, "\n") + (head[strcspn(head, "\n")] != '\0');
    strbuf_adds(&kept, head);
    *ret = arena_slice(edit->cli->arena, strbuf_slice(&kept));
    strbuf_clear(&text);
    strbuf_clear(&kept);
    return CLI_OK;
}

static const char *complain(struct edit *edit, const struct json *status)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_addf(&text, "Refused: %s\n", json_str(json_get(status, "message"), "no reason given"));
    JSON_FOR (cause, json_find(status, "details", "causes", NULL))
        strbuf_addf(&text, "  %s: %s\n", json_str(json_get(cause, "field"), ""), json_str(json_get(cause, "message"), ""));
    const char *copy = arena_strndup(edit->cli->arena, text.base, text.len);
    strbuf_clear(&text);
    return copy;
}

enum outcome { WRITTEN, AGAIN, ENDED };

/* A conflict only with what the control plane wrote (status) is none: the object is as it was when the editor was opened, and
 * the text may go on top of the new version. */
static bool take_new_version(struct edit *edit, struct json *object)
{
    struct json *live;
    if (cli_live_get(edit->cli, edit->kind, edit->ns, edit->name, &live) != CLI_OK || live == NULL)
        return false;
    struct slice version = json_slice(json_find(live, "metadata", "resourceVersion", NULL));
    struct json *metadata = json_get(object, "metadata");
    cli_live_strip(live, false);
    if (metadata == NULL || metadata->type != JSON_OBJECT || !json_equal(live, edit->original))
        return false;
    json_set(edit->cli->arena, metadata, "resourceVersion", json_new_string(edit->cli->arena, version));
    return true;
}

static enum outcome put(struct edit *edit, struct json *object, unsigned tries, int *ret_status)
{
    struct strbuf body = STRBUF_INIT;
    struct cli_answer answer;
    json_write(&body, object);
    struct cli_request request = {.method = "PUT",
                                  .path = arena_printf(edit->cli->arena, "%s?fieldManager=selvedge-edit", cli_object_path(edit->cli->arena, edit->kind, edit->ns, edit->name)),
                                  .body = strbuf_slice(&body)};
    *ret_status = cli_send(edit->cli, &request, &answer);
    strbuf_clear(&body);
    if (*ret_status != CLI_OK)
        return ENDED;
    if (answer.status >= 200 && answer.status <= 299)
        return WRITTEN;
    if (answer.status == 422 || answer.status == 400) {
        edit->complaint = complain(edit, answer.json);
        return AGAIN;
    }
    if (answer.status == 409 && tries > 0 && take_new_version(edit, object))
        return put(edit, object, tries - 1, ret_status);
    *ret_status = cli_tell_refusal(edit->cli, &answer, NULL);
    return ENDED;
}

static enum outcome take_text(struct edit *edit, struct slice text, int *ret_status)
{
    struct cli_manifests parsed = {NULL, 0};
    struct err err = ERR_INIT;
    if (text.len == strspn(text.base, " \t\r\n")) {
        fprintf(edit->cli->err, "Edit cancelled: the file is empty\n");
        return ENDED;
    }
    if (slice_eq(text, edit->shown)) {
        if (edit->complaint != NULL)
            fprintf(edit->cli->err, "%s\nEdit cancelled: no further change\n", edit->complaint);
        else
            fprintf(edit->cli->err, "Edit cancelled: no change\n");
        *ret_status = edit->complaint != NULL ? CLI_REFUSED : CLI_OK;
        return ENDED;
    }
    edit->shown = text;
    if (cli_manifests_parse(edit->cli, "the text", text, &parsed, &err) != 0) {
        edit->complaint = arena_printf(edit->cli->arena, "Refused: %s", err.text);
        return AGAIN;
    }
    if (parsed.num != 1) {
        edit->complaint = "Refused: one object is expected";
        return AGAIN;
    }
    return put(edit, parsed.items[0].object, TRIES, ret_status);
}

static int edit_loop(struct edit *edit)
{
    enum outcome outcome;
    int status = CLI_OK;
    do {
        struct slice text;
        if ((status = write_file(edit)) != CLI_OK || (status = run_editor(edit)) != CLI_OK || (status = read_file(edit, &text)) != CLI_OK)
            return status;
        outcome = take_text(edit, text, &status);
    } while (outcome == AGAIN);
    if (outcome == WRITTEN)
        fprintf(edit->cli->out, "%s/%s edited\n", cli_kind_name(edit->cli->arena, edit->kind), edit->name);
    return status;
}

static int edit_object(struct edit *edit, struct json *object)
{
    const char *folder = getenv("TMPDIR");
    cli_live_strip(object, true);
    edit->original = json_clone(edit->cli->arena, object);
    cli_live_strip(edit->original, false);
    edit->shown = cli_live_yaml(edit->cli, object);
    snprintf(edit->path, sizeof(edit->path), "%s/selvedge-edit-XXXXXX.yaml", folder != NULL && *folder != '\0' ? folder : "/tmp");
    int fd = mkstemps(edit->path, 5); /* 0600: it may be a Secret */
    if (fd < 0)
        return cli_fail(edit->cli, CLI_LOCAL, "%s: %s", edit->path, strerror(errno));
    close(fd); /* only its name is needed: writing replaces the file */
    int status = edit_loop(edit);
    if (status == CLI_OK)
        unlink(edit->path);
    else
        fprintf(edit->cli->err, "Your text is kept in %s\n", edit->path);
    return status;
}

int verb_edit(struct cli *cli)
{
    struct cli_resources resources;
    struct json *object;
    int status = cli_resources_parse(cli, 0, &resources);
    if (status != CLI_OK)
        return status;
    if (resources.num != 1 || resources.items[0].name == NULL)
        return cli_usage(cli, "one KIND/NAME");
    struct edit edit = {.cli = cli, .kind = resources.items[0].kind, .ns = cli_namespace(cli), .name = resources.items[0].name};
    status = cli_live_get(cli, edit.kind, edit.ns, edit.name, &object);
    if (status != CLI_OK)
        return status;
    if (object == NULL)
        return cli_fail(cli, CLI_NOT_FOUND, "there is no %s \"%s\"%s%s", edit.kind->singular, edit.name,
                        edit.kind->is_namespaced ? " in namespace " : "", edit.kind->is_namespaced ? edit.ns : "");
    return edit_object(&edit, object);
}
