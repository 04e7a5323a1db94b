/* The code's only builder of xenstore paths: nodes.def lists every node that we read or write, and why. */
#ifndef XENSTORE_SCHEMA_NODES_H
#define XENSTORE_SCHEMA_NODES_H

#include <stdbool.h>

enum xs_node {
#define NODE(name, path, writer, reader, permissions, meaning) XS_##name,
#include "xenstore-schema/nodes.def"
#undef NODE
	XS_NODES
};

#define XS_PATH_MAX 128 /* bytes of a path with its NUL */

/* Fill in what the node's path names; the rest is ignored. */
struct xs_ids {
	unsigned int guest, stub, dev;
};

/** xs_path() - write the node's absolute path into @out. Return: @out. */
char *xs_path(char out[XS_PATH_MAX], enum xs_node node, struct xs_ids ids);

/**
 * xs_match_control() - does @path lie at or below a control device?
 * @ids: guest and dev are filled in
 *
 * For the paths that a watch on XS_CONTROL_ROOT reports. Return: false for the root, for the directory of a guest
 * without device, and for what is no number.
 */
bool xs_match_control(const char *path, struct xs_ids *ids);

/** xs_node_row() - the node's row of SCHEMA.md's table, without line end, into @out of @cap bytes. */
void xs_node_row(enum xs_node node, char *out, unsigned int cap);

#endif
