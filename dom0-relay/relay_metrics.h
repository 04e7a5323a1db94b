/* The relay's numbers for node_exporter (docs/observe.md). */
#ifndef DOM0_RELAY_RELAY_METRICS_H
#define DOM0_RELAY_RELAY_METRICS_H

struct buf;
struct relay;

/** relay_metrics_put() - what the relay has counted, and what can be seen of it now. */
void relay_metrics_put(struct relay *r, struct buf *out);

/** relay_metrics_start() - write the file from now on, every METRICS_PERIOD_MS; before the process is confined. 0 or E_NOMEM. */
int relay_metrics_start(struct relay *r);

#endif
