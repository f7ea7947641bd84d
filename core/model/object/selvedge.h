/* selvedge.dev v1alpha1: what no standard names. */
#ifndef SELVEDGE_MODEL_OBJECT_SELVEDGE_H
#define SELVEDGE_MODEL_OBJECT_SELVEDGE_H

#include "core/model/object/meta.h"

#define OBJ_SELVEDGE_GROUP "selvedge.dev"

/* A proxy that has joined. Written by control; users may label, cordon and delete it. All news is in status. */
enum obj_node_role { OBJ_NODE_GATEWAY, OBJ_NODE_AGENT };

struct obj_node_spec {
    enum obj_node_role role;
};

struct obj_node {
    struct obj_head head;
    struct obj_node_spec spec;
};

/* Settings of all proxies: one object, named "default". Becomes struct cfg_settings. */
#define OBJ_MESH_CONFIG_NAME "default"

struct obj_mesh_config_spec {
    struct slice *trusted_proxies; /* CIDRs */
    uint32_t num_trusted_proxies;
    uint64_t drain_timeout_ms; /* 60 s */
    uint32_t max_connections;  /* 0: from the descriptor limit */
    struct slice access_log;   /* "stdout" */
    bool trust_request_id;
};

struct obj_mesh_config {
    struct obj_head head;
    struct obj_mesh_config_spec spec;
};

extern const struct field_schema obj_node_schema, obj_mesh_config_schema;

#endif
