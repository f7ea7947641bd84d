/* Wire form of the snapshot's resources, as tables; docs/snapshot.md is written from them. Used by snapshot.c only. */
#ifndef SELVEDGE_MODEL_SNAPSHOT_TABLES_H
#define SELVEDGE_MODEL_SNAPSHOT_TABLES_H

#include "core/model/field.h"
#include "core/model/snapshot.h"

/* References are names on the wire and pointers in the snapshot. */
struct wire_server {
    struct cfg_server server;
    struct slice *certificates;
    uint32_t num_certificates;
};

struct wire_listener {
    struct cfg_listener listener;
    struct wire_server *servers;
    uint32_t num_servers;
};

struct wire_endpoints {
    struct cfg_endpoint *endpoints;
    uint32_t num_endpoints;
};

extern const struct field_schema snapshot_settings_schema, snapshot_listener_schema, snapshot_certificate_schema,
    snapshot_route_schema, snapshot_cluster_schema, snapshot_endpoints_schema;

#endif
