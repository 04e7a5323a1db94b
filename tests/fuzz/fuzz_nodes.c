/* A path that a watch reports: what is taken for a device, in dom0 or below a stub domain, lies at or below that device's directory. */
#include "tests/fuzz/fuzz.h"
#include "xenstore-schema/nodes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1), directory[NODE_PATH_MAX];
	struct node_ids ids = {0};
	size_t n;

	must(path);
	memcpy(path, data, size);
	path[size] = '\0';
	if (node_match_control(path, &ids)) {
		n = strlen(node_path(directory, NODE_CONTROL, ids));
		must(strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/'));
		must(ids.guest <= 0x7fef && ids.dev <= 0xffff);
	}
	if (node_match_backend(path, &ids)) {
		n = strlen(node_path(directory, NODE_BACKEND, ids));
		must(strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/'));
		must(ids.stub > 0 && ids.stub <= 0x7fef && ids.guest <= 0x7fef && ids.dev <= 0xffff);
	}
	free(path);
	return 0;
}
