/* Files of key material on its way. */
#include "kmc/keyfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"

#define VERSION 1
#define TRIES 10
#define FILE_MAX (256 * 1024) /* bytes of such a file: a moved vTPM has its state with it */

#define AREA(key, s, m) MSG_FIELD_BYTES(key, s, m, 1, 1024)

static const struct msg_field request[] = {
	MSG_FIELD_TEXT(3, struct keyfile_request, name, 1, KMC_NAME_MAX),
	AREA(4, struct keyfile_request, ek),
	MSG_FIELD_BYTES_OPT(5, struct keyfile_request, certificate, 1, 2048),
	AREA(6, struct keyfile_request, storage),
};

static const struct msg_field copy[] = {
	MSG_FIELD_TEXT(3, struct keyfile_copy, kmc, 1, KMC_NAME_MAX), AREA(4, struct keyfile_copy, credential), AREA(5, struct keyfile_copy, secret),
	AREA(6, struct keyfile_copy, public), AREA(7, struct keyfile_copy, duplicate), AREA(8, struct keyfile_copy, seed),
};

static const struct msg_field file[] = {
	MSG_FIELD_TEXT(3, struct keyfile_file, name, 1, KEYFILE_NAME_MAX),
	MSG_FIELD_BYTES(4, struct keyfile_file, bytes, 1, KEYFILE_BYTES_MAX),
};

static const struct msg_field recovery[] = {
	MSG_FIELD_TEXT(3, struct keyfile_recovery, kmc, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct keyfile_recovery, set, KEYFILE_SET_SIZE, KEYFILE_SET_SIZE),
	MSG_FIELD_UINT(5, struct keyfile_recovery, needed, 255),
	MSG_FIELD_UINT(6, struct keyfile_recovery, shares, 255),
	MSG_FIELD_BYTES(7, struct keyfile_recovery, x, 32, 32),
	MSG_FIELD_BYTES(8, struct keyfile_recovery, y, 32, 32),
	AREA(9, struct keyfile_recovery, public),
	AREA(10, struct keyfile_recovery, duplicate),
	AREA(11, struct keyfile_recovery, seed),
	MSG_FIELD_BYTES(12, struct keyfile_recovery, key, 1, KEYFILE_WRAPPED_MAX),
	MSG_FIELD_BYTES(13, struct keyfile_recovery, authority, 1, KEYFILE_WRAPPED_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}

static const struct msg_schema schemas[] = {
	SCHEMA(KEYFILE_REQUEST, "replica request", keyfile_request, request),
	SCHEMA(KEYFILE_COPY, "replica package", keyfile_copy, copy),
	SCHEMA(KEYFILE_FILE, "file", keyfile_file, file),
	SCHEMA(KEYFILE_RECOVERY, "recovery file", keyfile_recovery, recovery),
};

static int fail(const struct keyfile *f, const char *what, const char *reason, char why[KEYFILE_WHY])
{
	snprintf(why, KEYFILE_WHY, "can't %s %.200s: %s", what, f->path, reason);
	return E_IO;
}

int keyfile_new(struct keyfile *f, const char *path)
{
	*f = (struct keyfile){.path = path};
	return buf_init(&f->frames, FILE_MAX);
}

void keyfile_free(struct keyfile *f)
{
	buf_free(&f->frames);
}

/* Bytes behind what @b holds; E_RANGE: there are more than it takes. */
static int read_all(int fd, struct buf *b)
{
	ssize_t n;

	while ((n = read(fd, buf_end(b), buf_space(b))) > 0)
		b->len += (size_t)n;
	return n < 0 ? E_IO : buf_space(b) ? 0 : E_RANGE;
}

int keyfile_read(struct keyfile *f, const char *path, char why[KEYFILE_WHY])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = keyfile_new(f, path);

	if (fd < 0)
		r = fail(f, "read", strerror(errno), why);
	else if (r == 0 && (r = read_all(fd, &f->frames)) != 0)
		fail(f, "read", r == E_IO ? strerror(errno) : "it is too long", why);
	if (fd >= 0)
		close(fd);
	if (r != 0)
		keyfile_free(f);
	return r;
}

int keyfile_next(struct keyfile *f, enum keyfile_type type, void *fields, char why[KEYFILE_WHY])
{
	const struct msg_schema *schema = msg_schema_find(schemas, COUNT(schemas), type);
	struct msg m = {0};
	int r = msg_next(&f->frames, FILE_MAX, &m);

	if (r == 0)
		r = m.head.version != VERSION ? E_VERSION : m.head.type != type ? E_UNKNOWN : msg_fields(&m, schema, fields);
	if (r == 0)
		return 0;
	snprintf(why, KEYFILE_WHY, "%.200s is no %s, or is damaged (%s)", f->path, schema->name, error_text(r == E_AGAIN_IN ? E_TRUNCATED : r));
	return r == E_AGAIN_IN ? E_TRUNCATED : r;
}

bool keyfile_left(const struct keyfile *f)
{
	return buf_left(&f->frames) != 0;
}

int keyfile_add(struct keyfile *f, enum keyfile_type type, const void *fields)
{
	return msg_write(&f->frames, msg_schema_find(schemas, COUNT(schemas), type), VERSION, 0, fields);
}

int keyfile_put(const char *path, struct view bytes, char why[KEYFILE_WHY])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n && fsync(fd) == 0;

	if (!ok)
		snprintf(why, KEYFILE_WHY, "can't write %.200s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && !ok)
		(void)unlink(path); /* half a file would stand in the way of the next try */
	return ok ? 0 : E_IO;
}

int keyfile_write(const struct keyfile *f, char why[KEYFILE_WHY])
{
	return keyfile_put(f->path, view_of(buf_ptr(&f->frames), buf_left(&f->frames)), why);
}

static bool ends(const char *name, const char *with)
{
	size_t n = strlen(name), m = strlen(with);

	return n > m && strcmp(name + n - m, with) == 0;
}

/* What belongs to one machine: its TPM's parent, its server certificate. What no copy may have: private keys in clear. */
bool keyfile_is_name(const char *name)
{
	bool in_vault = strncmp(name, "vault/", 6) == 0;
	const char *base = in_vault ? name + 6 : name;

	if (!*base || *base == '.' || strlen(name) > KEYFILE_NAME_MAX ||
	    strspn(base, "abcdefghijklmnopqrstuvwxyz0123456789-._") != strlen(base))
		return false;
	if (in_vault)
		return strcmp(base, "parent.tpm") != 0;
	return strncmp(base, "server.", 7) != 0 && (ends(base, ".crt") || ends(base, ".pub") || ends(base, ".kmc"));
}

static int add_file(struct keyfile *f, const char *state, const char *name, char why[KEYFILE_WHY])
{
	uint8_t bytes[KEYFILE_BYTES_MAX];
	char path[512];
	ssize_t n;
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", state, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0) {
		snprintf(why, KEYFILE_WHY, "can't read %.300s: %s", path, n == 0 ? "it is empty" : strerror(errno));
		return E_IO;
	}
	r = keyfile_add(f, KEYFILE_FILE, &(const struct keyfile_file){.name = view_text(name), .bytes = view_of(bytes, (size_t)n)});
	if (r != 0)
		snprintf(why, KEYFILE_WHY, "%.300s is too large", path);
	return r;
}

static int add_directory(struct keyfile *f, const char *state, const char *prefix, char why[KEYFILE_WHY])
{
	char path[512], name[300];
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	snprintf(path, sizeof(path), "%s/%s", state, prefix);
	dir = opendir(path);
	if (!dir) {
		snprintf(why, KEYFILE_WHY, "can't read %.300s: %s", path, strerror(errno));
		return E_IO;
	}
	while (r == 0 && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "%s%s", prefix, entry->d_name);
		if (keyfile_is_name(name))
			r = add_file(f, state, name, why);
	}
	closedir(dir);
	return r;
}

static int add_once(struct keyfile *f, const char *state, char why[KEYFILE_WHY])
{
	int r = add_directory(f, state, "vault/", why);

	return r != 0 ? r : add_directory(f, state, "", why);
}

/*
 * The files must belong together, and kmcd may be replacing the wrapping key: two readings that are the same are what there was between them,
 * because no file ever becomes again what it was.
 */
int keyfile_add_machine(struct keyfile *f, const char *state, char why[KEYFILE_WHY])
{
	const size_t start = f->frames.len;
	int r = E_BUSY;

	snprintf(why, KEYFILE_WHY, "the files in %.300s change all the time: try again", state);
	for (int i = 0; i < TRIES && r != 0; i++) {
		size_t middle, n;

		f->frames.len = start;
		if ((r = add_once(f, state, why)) != 0)
			continue;
		middle = f->frames.len;
		n = middle - start;
		r = add_once(f, state, why);
		if (r == 0 && (f->frames.len - middle != n || memcmp(f->frames.data + start, f->frames.data + middle, n) != 0))
			r = E_BUSY;
		f->frames.len = middle;
	}
	return r;
}
