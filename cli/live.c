/* Objects as they are, and as they would be. */
#include "cli/live.h"

int cli_live_get(struct cli *cli, const struct kind *kind, const char *ns, const char *name, struct json **ret)
{
    struct cli_answer answer;
    int status = cli_send(cli, &(struct cli_request){.path = cli_object_path(cli->arena, kind, ns, name)}, &answer);
    *ret = NULL;
    if (status != CLI_OK || answer.status == 404)
        return status;
    if (answer.status != 200)
        return cli_tell_refusal(cli, &answer, NULL);
    *ret = answer.json;
    return answer.json != NULL ? CLI_OK : cli_fail(cli, CLI_REFUSED, "the API's answer is no JSON document");
}

int cli_live_would_be(struct cli *cli, const struct cli_manifest *manifest, struct json **ret)
{
    struct cli_answer answer;
    struct strbuf body = STRBUF_INIT;
    const char *path = cli_object_path(cli->arena, manifest->kind, manifest->ns, manifest->name);
    json_write(&body, manifest->object);
    struct cli_request request = {.method = "PATCH",
                                  .path = arena_printf(cli->arena, "%s?dryRun=All&fieldManager=selvedge%s", path, cli->options.force ? "&force=true" : ""),
                                  .content_type = "application/apply-patch+yaml",
                                  .body = strbuf_slice(&body)};
    int status = cli_send(cli, &request, &answer);
    strbuf_clear(&body);
    if (status != CLI_OK)
        return status;
    if (answer.status < 200 || answer.status > 299)
        return cli_tell_refusal(cli, &answer, arena_printf(cli->arena, "%s: ", manifest->place));
    *ret = answer.json;
    return answer.json != NULL ? CLI_OK : cli_fail(cli, CLI_REFUSED, "the API's answer is no JSON document");
}

void cli_live_strip(struct json *object, bool keep_version)
{
    static const char *const names[] = {"uid", "generation", "creationTimestamp", "managedFields", "selfLink"};
    struct json *metadata = json_get(object, "metadata");
    for (size_t i = 0; metadata != NULL && i < ARRAY_LEN(names); ++i)
        (void)json_remove(metadata, names[i]); /* absent is as good */
    if (metadata != NULL && !keep_version)
        (void)json_remove(metadata, "resourceVersion");
    if (object != NULL)
        (void)json_remove(object, "status");
}

static void append(struct json *parent, struct json *child)
{
    child->next = NULL;
    if (parent->child == NULL)
        parent->child = child;
    else
        parent->last->next = child;
    parent->last = child;
    ++parent->num;
}

/* Those that `like` has, in its order; then the rest. */
static void align_members(struct json *object, const struct json *like)
{
    struct json rest = *object;
    object->child = object->last = NULL;
    object->num = 0;
    JSON_FOR (member, like) {
        struct json *mine = json_get_n(&rest, member->key);
        if (mine != NULL && json_remove_child(&rest, mine))
            append(object, mine);
    }
    for (struct json *member = rest.child, *next; member != NULL; member = next) {
        next = member->next;
        append(object, member);
    }
}

void cli_live_align(struct json *object, const struct json *like)
{
    if (object == NULL || like == NULL || object->type != like->type)
        return;
    if (object->type == JSON_OBJECT) {
        align_members(object, like);
        JSON_FOR (member, object)
            cli_live_align(member, json_get_n(like, member->key));
    } else if (object->type == JSON_ARRAY) {
        const struct json *other = like->child;
        JSON_FOR (item, object) {
            cli_live_align(item, other);
            other = other != NULL ? other->next : NULL;
        }
    }
}

struct slice cli_live_yaml(struct cli *cli, const struct json *object)
{
    static const char *const first[] = {"apiVersion", "kind", "metadata"};
    struct json *ordered = json_new_object(cli->arena);
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(first); ++i)
        if (json_get(object, first[i]) != NULL)
            json_set(cli->arena, ordered, first[i], json_clone(cli->arena, json_get(object, first[i])));
    JSON_FOR (member, object)
        if (json_get_n(ordered, member->key) == NULL)
            json_set_n(cli->arena, ordered, member->key, json_clone(cli->arena, member));
    json_write_yaml(&text, ordered);
    struct slice copy = arena_slice(cli->arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return copy;
}
