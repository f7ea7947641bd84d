/* Columns of each kind, for kinds.c. */
#ifndef SELVEDGE_MODEL_KIND_COLUMNS_H
#define SELVEDGE_MODEL_KIND_COLUMNS_H

#include "core/model/kinds.h"

extern const struct kind_column namespace_columns[], service_columns[], secret_columns[], config_map_columns[],
    endpoint_slice_columns[], gateway_class_columns[], gateway_columns[], http_route_columns[], reference_grant_columns[],
    backend_columns[], backend_tls_policy_columns[], traffic_policy_columns[], client_policy_columns[], node_columns[], mesh_config_columns[];

#endif
