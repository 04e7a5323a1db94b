/* The engine's numbers for node_exporter (docs/observe.md). */
#ifndef KMC_ENGINE_METRICS_H
#define KMC_ENGINE_METRICS_H

struct buf;
struct engine;
struct loop;

/** engine_metrics_put() - what the engine has counted, and what the database says. 0 or E_DB with store->why. */
int engine_metrics_put(struct engine *e, struct buf *out);

/** engine_metrics_start() - write the file from now on; before the process is confined. 0 or E_NOMEM. */
int engine_metrics_start(struct engine *e, struct loop *loop);

#endif
