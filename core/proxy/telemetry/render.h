/* Collections as texts: Prometheus exposition format 0.0.4, and JSON for people and the console. */
#ifndef SELVEDGE_PROXY_RENDER_H
#define SELVEDGE_PROXY_RENDER_H

#include "core/base/strbuf.h"
#include "core/proxy/telemetry/collect.h"

void px_render_metrics(struct px_dataplane *dataplane, const struct px_collection *collection, struct strbuf *out);
/* {"clusters":[{"name","panic","waiting","endpoints":[…]}]} */
void px_render_clusters(const struct px_collection *collection, struct strbuf *out);
/* What is served, without secrets: revision, listeners with their state, counts. */
void px_render_config(const struct px_dataplane *dataplane, struct strbuf *out);

#endif
