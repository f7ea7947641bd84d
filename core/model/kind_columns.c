/* Cells of tables: what a person wants to see of an object in one line. */
#include "core/model/kind_columns.h"

/* ---- paths ---- */

static void add_cell(struct strbuf *out, const char *path, const struct json *at);

static void add_text(struct strbuf *out, const struct json *value)
{
    if (out->len != 0)
        strbuf_addc(out, ',');
    if (value->type == JSON_STRING || value->type == JSON_NUMBER)
        strbuf_add_slice(out, value->text);
    else
        json_write(out, value);
}

static void add_value(struct strbuf *out, const struct json *value)
{
    if (value->type == JSON_NULL)
        return;
    if (value->type != JSON_ARRAY) {
        add_text(out, value);
        return;
    }
    JSON_FOR(item, value)
    add_text(out, item);
}

/* "[*]" each item; "[Accepted]" the item of that type, or the member of that name. */
static void add_selected(struct strbuf *out, struct slice which, const char *rest, const struct json *at)
{
    if (at->type == JSON_OBJECT)
        add_cell(out, rest, json_get_n(at, which));
    else if (at->type == JSON_ARRAY)
        JSON_FOR(item, at)
    if (slice_is(which, "*") || slice_eq(json_slice(json_get(item, "type")), which))
        add_cell(out, rest, item);
}

static void add_cell(struct strbuf *out, const char *path, const struct json *at)
{
    if (at == NULL)
        return;
    if (path[0] == '.')
        ++path;
    if (path[0] == '\0')
        add_value(out, at);
    else if (path[0] == '[') {
        size_t len = strcspn(path, "]");
        add_selected(out, slice_make(path + 1, len - 1), path + len + 1, at);
    } else {
        size_t len = strcspn(path, ".[");
        add_cell(out, path + len, json_get_n(at, slice_make(path, len)));
    }
}

void kind_cell(const struct kind_column *column, const struct json *object, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT;
    if (column->cell != NULL)
        column->cell(object, &text);
    else
        add_cell(&text, column->path, object);
    strbuf_add_slice(out, strbuf_slice(&text));
    strbuf_clear(&text);
}

/* ---- functions ---- */

static void cell_active(const struct json *object, struct strbuf *out)
{
    strbuf_adds(out, "Active"); /* a Namespace that is going away is gone at once */
}

static void cell_service_ports(const struct json *object, struct strbuf *out)
{
    JSON_FOR(port, json_find(object, "spec", "ports", NULL))
    {
        strbuf_addf(out, "%s%lld/%s", out->len != 0 ? "," : "",
                    (long long)json_int_or(json_get(port, "port"), 0),
                    json_str(json_get(port, "protocol"), "TCP"));
    }
}

static void cell_num_data(const struct json *object, struct strbuf *out)
{
    const struct json *data = json_get(object, "data"), *binary = json_get(object, "binaryData");
    strbuf_addu(out, (data != NULL ? data->num : 0) + (binary != NULL ? binary->num : 0));
}

static void cell_backend_endpoints(const struct json *object, struct strbuf *out)
{
    JSON_FOR(endpoint, json_find(object, "spec", "endpoints", NULL))
    {
        const struct json *fqdn = json_get(endpoint, "fqdn"), *ip = json_get(endpoint, "ip");
        const char *host = json_str(json_get(fqdn, "hostname"), json_str(json_get(ip, "address"), NULL));
        int64_t port = json_int_or(json_get(fqdn != NULL ? fqdn : ip, "port"), 0);
        strbuf_adds(out, out->len != 0 ? "," : "");
        if (host != NULL)
            strbuf_addf(out, strchr(host, ':') != NULL ? "[%s]:%lld" : "%s:%lld", host, (long long)port);
        else
            strbuf_adds(out, json_str(json_find(endpoint, "unix", "path", NULL), ""));
    }
}

static void cell_selector(const struct json *object, struct strbuf *out)
{
    JSON_FOR(label, json_find(object, "spec", "selector", NULL))
    strbuf_addf(out, "%s%s=%s", out->len != 0 ? "," : "", label->key.base, json_str(label, ""));
    if (out->len == 0)
        strbuf_adds(out, "<none>");
}

/* ---- kinds ---- */

/* The column every policy ends with. */
#define POLICY_ACCEPTED                                                                                      \
    {                                                                                                        \
        "Accepted", "string", 0, "status.ancestors[*].conditions[Accepted].status", NULL,                    \
            "Whether it has an effect.",                                                                     \
    }

#define END                                                                                                  \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }

const struct kind_column namespace_columns[] = {
    {"Status", "string", 0, NULL, cell_active, "Active."},
    END,
};

const struct kind_column service_columns[] = {
    {"Type", "string", 0, "spec.type", NULL, "ClusterIP or ExternalName."},
    {"External-Name", "string", 0, "spec.externalName", NULL, "DNS name behind it."},
    {"Port(s)", "string", 0, NULL, cell_service_ports, "Ports that routes may refer to."},
    {"Selector", "string", 1, NULL, cell_selector, "Labels of its workloads."},
    END,
};

const struct kind_column secret_columns[] = {
    {"Type", "string", 0, "type", NULL, "Opaque or kubernetes.io/tls."},
    {"Data", "string", 0, NULL, cell_num_data, "How many entries."},
    END,
};

const struct kind_column config_map_columns[] = {
    {"Data", "string", 0, NULL, cell_num_data, "How many entries."},
    END,
};

const struct kind_column endpoint_slice_columns[] = {
    {"AddressType", "string", 0, "addressType", NULL, "IPv4, IPv6 or FQDN."},
    {"Ports", "string", 0, "ports[*].port", NULL, "Ports of each endpoint."},
    {"Endpoints", "string", 0, "endpoints[*].addresses", NULL, "Addresses."},
    {"Service", "string", 1, "metadata.labels[kubernetes.io/service-name]", NULL, "The Service they are of."},
    END,
};

const struct kind_column gateway_class_columns[] = {
    {"Controller", "string", 0, "spec.controllerName", NULL, "Who serves Gateways of this class."},
    {"Accepted", "string", 0, "status.conditions[Accepted].status", NULL, "Whether it is served here."},
    {"Description", "string", 1, "spec.description", NULL, "What it is for."},
    END,
};

const struct kind_column gateway_columns[] = {
    {"Class", "string", 0, "spec.gatewayClassName", NULL, "Its GatewayClass."},
    {"Address", "string", 0, "status.addresses[*].value", NULL, "Addresses it listens on."},
    {"Ports", "string", 0, "spec.listeners[*].port", NULL, "Ports it listens on."},
    {"Programmed", "string", 0, "status.conditions[Programmed].status", NULL, "Whether the proxies run it."},
    {"Listeners", "string", 1, "spec.listeners[*].name", NULL, "Names of its listeners."},
    END,
};

const struct kind_column http_route_columns[] = {
    {"Hostnames", "string", 0, "spec.hostnames", NULL, "Host names it is for."},
    {"Parents", "string", 0, "spec.parentRefs[*].name", NULL, "Gateways it is attached to."},
    {"Accepted", "string", 0, "status.parents[*].conditions[Accepted].status", NULL,
     "Whether each parent takes it."},
    {"Resolved", "string", 1, "status.parents[*].conditions[ResolvedRefs].status", NULL,
     "Whether its backends were found."},
    {"Backends", "string", 1, "spec.rules[*].backendRefs[*].name", NULL, "Where requests go."},
    END,
};

const struct kind_column reference_grant_columns[] = {
    {"From", "string", 0, "spec.from[*].namespace", NULL, "Namespaces that may refer here."},
    {"To", "string", 0, "spec.to[*].kind", NULL, "Kinds they may refer to."},
    END,
};

const struct kind_column backend_columns[] = {
    {"Endpoints", "string", 0, NULL, cell_backend_endpoints, "Where it can be reached."},
    {"Status", "string", 0, "status.conditions[Accepted].reason", NULL, "Whether it is used."},
    END,
};

const struct kind_column backend_tls_policy_columns[] = {
    {"Targets", "string", 0, "spec.targetRefs[*].name", NULL, "Services and Backends it is about."},
    {"Hostname", "string", 0, "spec.validation.hostname", NULL, "Name asked for."},
    POLICY_ACCEPTED,
    END,
};

const struct kind_column traffic_policy_columns[] = {
    {"Targets", "string", 0, "spec.targetRefs[*].name", NULL, "Gateways and routes it is about."},
    POLICY_ACCEPTED,
    END,
};

const struct kind_column client_policy_columns[] = {
    {"Targets", "string", 0, "spec.targetRefs[*].name", NULL, "Gateways it is about."},
    {"Listeners", "string", 1, "spec.targetRefs[*].sectionName", NULL, "Single listeners of them."},
    POLICY_ACCEPTED,
    END,
};

const struct kind_column node_columns[] = {
    {"Role", "string", 0, "spec.role", NULL, "gateway or agent."},
    {"Connected", "string", 0, "status.connected", NULL, "Whether its config stream is open."},
    {"Version", "string", 0, "status.version", NULL, "Version of the program."},
    {"Revision", "string", 0, "status.appliedRevision", NULL, "Revision it runs."},
    {"State", "string", 0, "status.state", NULL, "Whether it runs what is current."},
    {"Address", "string", 1, "status.address", NULL, "Where it connects from."},
    {"Errors", "string", 1, "status.errors[*].name", NULL, "Resources it could not use."},
    END,
};

const struct kind_column mesh_config_columns[] = {
    {"AccessLog", "string", 0, "spec.accessLog", NULL, "Where requests are logged."},
    {"Drain", "string", 0, "spec.drainTimeout", NULL, "How long connections may take to finish."},
    {"TrustedProxies", "string", 1, "spec.trustedProxies", NULL,
     "Addresses whose forwarding headers are believed."},
    END,
};
