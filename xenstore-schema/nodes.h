/* The code's only builder of xenstore paths: nodes.def lists every node that we read or write, and why. */
#ifndef XENSTORE_SCHEMA_NODES_H
#define XENSTORE_SCHEMA_NODES_H

#include <stdbool.h>

enum node {
#define NODE(name, path, writer, reader, permissions, meaning) NODE_##name,
#include "xenstore-schema/nodes.def"
#undef NODE
	NODE_COUNT
};

#define NODE_PATH_MAX 128 /* bytes of a path with its NUL */

/* Fill in what the node's path names; the rest is ignored. */
struct node_ids {
	unsigned int guest, stub, dev;
};

/** node_path() - write the node's absolute path into @out. Return: @out. */
char *node_path(char out[NODE_PATH_MAX], enum node node, struct node_ids ids);

/**
 * node_match_control() - does @path lie at or below a control device?
 * @ids: guest and dev are filled in
 *
 * For the paths that a watch on NODE_CONTROL_ROOT reports. Return: false for the root, for the directory of a guest
 * without device, and for what is no number.
 */
bool node_match_control(const char *path, struct node_ids *ids);

/** node_match_backend() - the same for the directories below a stub domain, of guests whose vtpm line names it; stub is filled in, too. */
bool node_match_backend(const char *path, struct node_ids *ids);

/** node_row() - the node's row of SCHEMA.md's table, without line end, into @out of @cap bytes. */
void node_row(enum node node, char *out, unsigned int cap);

#endif
