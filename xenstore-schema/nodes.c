/* Paths from nodes.def. */
#include "xenstore-schema/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMID_MAX 0x7fef
#define DEVID_MAX 0xffff

static const struct {
	const char *name, *path, *writer, *reader, *permissions, *meaning;
} nodes[] = {
#define NODE(n, p, w, r, perm, m) {#n, p, w, r, perm, m},
#include "xenstore-schema/nodes.def"
#undef NODE
};
_Static_assert(sizeof(nodes) / sizeof(nodes[0]) == NODE_COUNT, "one row for each node");

static unsigned int id_of(const char *word, struct node_ids ids)
{
	if (word[1] == 'g')
		return ids.guest;
	return word[1] == 's' ? ids.stub : ids.dev;
}

char *node_path(char out[NODE_PATH_MAX], enum node node, struct node_ids ids)
{
	const char *p = nodes[node].path;
	size_t n = 0;

	while (*p && n + 12 < NODE_PATH_MAX) {
		if (*p == '{') {
			n += (size_t)snprintf(out + n, NODE_PATH_MAX - n, "%u", id_of(p, ids));
			p = strchr(p, '}') + 1;
		} else {
			out[n++] = *p++;
		}
	}
	out[n] = '\0';
	return out;
}

/* A decimal number up to @max without sign or leading zero, ended by '/' or the end. */
static bool get_number(const char **p, unsigned int max, unsigned int *v)
{
	const char *s = *p;
	unsigned int n = 0;

	if (*s < '0' || *s > '9' || (s[0] == '0' && s[1] >= '0' && s[1] <= '9'))
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (unsigned int)(*s - '0');
		if (n > max)
			return false;
	}
	if (*s && *s != '/')
		return false;
	*p = s;
	*v = n;
	return true;
}

/* "/7/0", and what may stand below that. */
static bool get_device(const char *path, struct node_ids *ids)
{
	return *path++ == '/' && get_number(&path, DOMID_MAX, &ids->guest) && *path++ == '/' && get_number(&path, DEVID_MAX, &ids->dev);
}

bool node_match_control(const char *path, struct node_ids *ids)
{
	size_t n = strlen(nodes[NODE_CONTROL_ROOT].path);
	struct node_ids found = {0};

	if (strncmp(path, nodes[NODE_CONTROL_ROOT].path, n) != 0 || !get_device(path + n, &found))
		return false;
	*ids = found;
	return true;
}

bool node_match_backend(const char *path, struct node_ids *ids)
{
	const char *before = nodes[NODE_STUB_BACKEND_TYPE].path, *after = strchr(before, '}') + 1;
	size_t n = strcspn(before, "{");
	struct node_ids found = {0};

	if (strncmp(path, before, n) != 0)
		return false;
	path += n;
	n = strlen(after);
	if (!get_number(&path, DOMID_MAX, &found.stub) || found.stub == 0 || strncmp(path, after, n) != 0 || !get_device(path + n, &found))
		return false;
	*ids = found;
	return true;
}

void node_row(enum node node, char *out, unsigned int cap)
{
	snprintf(out, cap, "| %s | `%s` | %s | %s | %s | %s |", nodes[node].name, nodes[node].path, nodes[node].writer, nodes[node].reader,
		 nodes[node].permissions, nodes[node].meaning);
}
