/* The state directory. */
#include "dom0-relay/statedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/secret.h"
#include "dom0-relay/statemsg.h"

#define SLOT_MAGIC 0x56544d53u /* "VTMS" */
#define SLOT_HEADER (4 + 4 + 8 + 32) /* magic, length, sequence, SHA-256 of length, sequence and frame */
#define SLOT_SIZE ((SLOT_HEADER + sizeof(uint32_t) + STATE_BODY_MAX + 4095) / 4096 * 4096)
#define FILES_MAX 512

/* What is known of a file: open as long as it exists. */
struct file {
	struct state_name name;
	int fd; /* -1: free */
	unsigned int newest; /* slot */
	uint64_t sequence;   /* of that slot; 0: neither is whole */
};

struct statedir {
	int fd;
	struct file files[FILES_MAX];
	struct buf slot; /* one, header and frame */
};

static int complain(char why[STATEDIR_WHY], const char *what, const char *name)
{
	snprintf(why, STATEDIR_WHY, "state directory: can't %s %.100s: %s", what, name, strerror(errno));
	return E_IO;
}

#define NAME_SIZE (UUID_TEXT + 16)

static const char *const endings[STATE_PLACES] = {".state", ".second.state"};

static const char *file_name(const struct state_name *n, char name[NAME_SIZE])
{
	char text[UUID_TEXT];

	snprintf(name, NAME_SIZE, "%s%s", uuid_format(&n->uuid, text), endings[n->place]);
	return name;
}

int statedir_open(struct statedir **out, const char *path, char why[STATEDIR_WHY])
{
	struct statedir *d = calloc(1, sizeof(*d));
	int r = 0;

	*out = NULL;
	if (!d || buf_init(&d->slot, SLOT_SIZE) != 0) {
		snprintf(why, STATEDIR_WHY, "state directory: out of memory");
		free(d);
		return E_NOMEM;
	}
	for (size_t i = 0; i < FILES_MAX; i++)
		d->files[i].fd = -1;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		r = complain(why, "make", path);
	d->fd = r == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (r == 0 && d->fd < 0)
		r = complain(why, "open", path);
	if (r == 0 && flock(d->fd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(why, STATEDIR_WHY, "state directory %.100s: another vtpm-relayd uses it", path);
		r = E_BUSY;
	}
	if (r != 0)
		statedir_close(&d);
	*out = d;
	return r;
}

void statedir_close(struct statedir **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < FILES_MAX; i++)
		if ((*d)->files[i].fd >= 0)
			close((*d)->files[i].fd);
	if ((*d)->fd >= 0)
		close((*d)->fd);
	buf_free(&(*d)->slot);
	free(*d);
	*d = NULL;
}

/* --- slots --- */

/* Over length and sequence (bytes 4 to 16 of the header) and the frame. */
static int slot_hash(const uint8_t *slot, size_t frame, uint8_t hash[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, slot + 4, 12) &&
		 EVP_DigestUpdate(md, slot + SLOT_HEADER, frame) && EVP_DigestFinal_ex(md, hash, NULL);

	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

/* Read slot @n into d->slot: 0 with its sequence and d->slot cut to the frame, or E_INTEGRITY. */
static int read_slot(struct statedir *d, int fd, unsigned int n, uint64_t *sequence)
{
	uint8_t *p = d->slot.data, hash[32];
	uint32_t magic, length;
	ssize_t got;

	buf_reset(&d->slot);
	got = pread(fd, p, SLOT_SIZE, (off_t)(n * SLOT_SIZE));
	if (got < (ssize_t)SLOT_HEADER)
		return E_INTEGRITY;
	d->slot.len = (size_t)got;
	if (buf_get_u32(&d->slot, &magic) != 0 || buf_get_u32(&d->slot, &length) != 0 || buf_get_u64(&d->slot, sequence) != 0 ||
	    magic != SLOT_MAGIC || *sequence == 0 || length > (size_t)got - SLOT_HEADER || slot_hash(p, length, hash) != 0 ||
	    !bytes_equal(hash, p + 16, sizeof(hash)))
		return E_INTEGRITY;
	d->slot.off = SLOT_HEADER;
	d->slot.len = SLOT_HEADER + length;
	return 0;
}

/* Learn which slot is the newest whole one. */
static void examine(struct statedir *d, struct file *f)
{
	uint64_t sequence;

	f->sequence = 0;
	for (unsigned int n = 0; n < 2; n++)
		if (read_slot(d, f->fd, n, &sequence) == 0 && sequence > f->sequence) {
			f->newest = n;
			f->sequence = sequence;
		}
}

/* What did not reach the disk may be there in part or whole, and in memory it is: who opens the file next must not find what was told as failed. */
static void spoil_slot(const struct file *f, unsigned int n)
{
	static const uint8_t nothing[SLOT_HEADER];
	int e = errno;

	if (pwrite(f->fd, nothing, sizeof(nothing), (off_t)(n * SLOT_SIZE)) != sizeof(nothing) || fdatasync(f->fd) != 0)
		log_warn("state directory: a record that could not be written can't be erased either: %s", strerror(errno));
	errno = e;
}

static int write_slot(struct statedir *d, struct file *f, const struct state_record *r)
{
	unsigned int n = f->sequence ? 1 - f->newest : 0;
	uint8_t *p = d->slot.data;
	struct buf header;
	size_t size;

	buf_reset(&d->slot);
	d->slot.off = d->slot.len = SLOT_HEADER;
	if (state_record_write(&d->slot, r) != 0) {
		errno = EFBIG;
		return E_IO;
	}
	size = d->slot.len;
	buf_over(&header, p, SLOT_HEADER);
	buf_put_u32(&header, SLOT_MAGIC);
	buf_put_u32(&header, (uint32_t)(size - SLOT_HEADER));
	buf_put_u64(&header, f->sequence + 1);
	if (slot_hash(p, size - SLOT_HEADER, p + 16) != 0)
		return E_IO;
	if (pwrite(f->fd, p, size, (off_t)(n * SLOT_SIZE)) != (ssize_t)size || fdatasync(f->fd) != 0) {
		spoil_slot(f, n);
		return E_IO;
	}
	f->newest = n;
	f->sequence++;
	return 0;
}

/* --- files --- */

static struct file *find(struct statedir *d, const struct state_name *name)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if (d->files[i].fd >= 0 && d->files[i].name.place == name->place && uuid_equal(&d->files[i].name.uuid, &name->uuid))
			return &d->files[i];
	return NULL;
}

/* The file @name, opened and examined; with @make it is created, with its space. NULL with errno set. */
static struct file *get(struct statedir *d, const struct state_name *name, bool make)
{
	struct file *f = find(d, name);
	char text[NAME_SIZE];
	int e = 0;

	if (f)
		return f;
	for (size_t i = 0; i < FILES_MAX && !f; i++)
		if (d->files[i].fd < 0)
			f = &d->files[i];
	if (!f) {
		errno = EMFILE;
		return NULL;
	}
	f->fd = openat(d->fd, file_name(name, text), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
	if (f->fd < 0)
		return NULL;
	f->name = *name;
	if (make && ((e = posix_fallocate(f->fd, 0, 2 * SLOT_SIZE)) != 0 || fsync(f->fd) != 0 || fsync(d->fd) != 0)) {
		e = e ? e : errno;
		close(f->fd);
		f->fd = -1;
		errno = e;
		return NULL;
	}
	examine(d, f);
	return f;
}

int statedir_save(struct statedir *d, const struct state_placed *p, char why[STATEDIR_WHY])
{
	const struct state_name name = {.uuid = p->record.uuid, .place = p->place};
	struct file *f = get(d, &name, true);
	char text[NAME_SIZE];

	if (!f || write_slot(d, f, &p->record) != 0)
		return complain(why, "write", file_name(&name, text));
	return 0;
}

int statedir_drop(struct statedir *d, const struct state_name *name, char why[STATEDIR_WHY])
{
	struct file *f = find(d, name);
	char text[NAME_SIZE];

	file_name(name, text);
	if (f) {
		close(f->fd);
		f->fd = -1;
	}
	if (unlinkat(d->fd, text, 0) != 0 && errno != ENOENT)
		return complain(why, "remove", text);
	return fsync(d->fd) == 0 ? 0 : complain(why, "remove", text);
}

static bool is_state_name(const char *file, struct state_name *name)
{
	char text[UUID_TEXT];

	if (strlen(file) < UUID_TEXT)
		return false;
	memcpy(text, file, UUID_TEXT - 1);
	text[UUID_TEXT - 1] = '\0';
	if (uuid_parse(text, &name->uuid) != 0)
		return false;
	for (name->place = 0; name->place < STATE_PLACES; name->place++)
		if (strcmp(file + UUID_TEXT - 1, endings[name->place]) == 0)
			return true;
	return false;
}

int statedir_list(struct statedir *d, struct state_name *list, size_t max)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return E_IO;
	}
	while ((size_t)n < max && (e = readdir(dir)) != NULL)
		if (is_state_name(e->d_name, &list[n]))
			n++;
	closedir(dir);
	return n;
}

static int load(struct statedir *d, const struct file *f, const struct uuid *uuid, struct buf *b, struct state_record *r)
{
	uint64_t sequence;
	int e;

	if (!f->sequence)
		return E_INTEGRITY;
	if (read_slot(d, f->fd, f->newest, &sequence) != 0)
		return E_IO;
	buf_reset(b);
	e = buf_put(b, buf_ptr(&d->slot), buf_left(&d->slot));
	if (e == 0)
		e = state_record_read(b, r);
	if (e == 0 && !uuid_equal(&r->uuid, uuid))
		return E_INTEGRITY;
	return e;
}

/* Slot @n has never begun with anything. */
static bool is_blank(const struct file *f, unsigned int n)
{
	static const uint8_t nothing[SLOT_HEADER];
	uint8_t header[SLOT_HEADER];
	ssize_t got = pread(f->fd, header, sizeof(header), (off_t)(n * SLOT_SIZE));

	return got >= 0 && memcmp(header, nothing, (size_t)got) == 0;
}

/* Made, and then the power was cut, or while the first record of all was written: nobody was told that anything is there. */
static bool was_never_written(struct statedir *d, const struct file *f)
{
	if (!is_blank(f, 1))
		return false;
	return is_blank(f, 0) || (!f->sequence && pread(f->fd, d->slot.data, SLOT_SIZE, 0) == (ssize_t)SLOT_SIZE &&
				  pread(f->fd, d->slot.data, SLOT_SIZE, SLOT_SIZE) == (ssize_t)SLOT_SIZE); /* it can be read, and is as large as it was made */
}

int statedir_load(struct statedir *d, const struct state_name *name, struct buf *b, struct state_record *r)
{
	const struct file *f = get(d, name, false);
	char why[STATEDIR_WHY];

	if (!f)
		return errno == ENOENT ? E_NOTFOUND : E_IO;
	if (was_never_written(d, f))
		return statedir_drop(d, name, why) == 0 ? E_NOTFOUND : E_IO;
	return load(d, f, &name->uuid, b, r);
}

static int peek(const char *path, const struct state_name *name, struct buf *b, struct state_record *r, char why[STATEDIR_WHY])
{
	struct file f = {.name = *name};
	char text[NAME_SIZE], full[512];
	struct statedir d = {.fd = -1};
	int e;

	snprintf(full, sizeof(full), "%.400s/%s", path, file_name(name, text));
	f.fd = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f.fd < 0)
		return errno == ENOENT ? E_NOTFOUND : complain(why, "read", full);
	e = buf_init(&d.slot, SLOT_SIZE);
	if (e == 0) {
		examine(&d, &f);
		e = load(&d, &f, &name->uuid, b, r);
	}
	buf_free(&d.slot);
	close(f.fd);
	if (e != 0)
		snprintf(why, STATEDIR_WHY, "state directory: %.120s can't be read: %s", text, error_text(e));
	return e;
}

int statedir_peek(const char *path, const struct uuid *uuid, struct buf *b, struct state_record *r, char why[STATEDIR_WHY])
{
	const struct state_name first = {.uuid = *uuid}, second = {.uuid = *uuid, .place = 1};
	int other = peek(path, &second, b, r, why), e;
	uint64_t lease_epoch = other == 0 ? r->lease_epoch : 0;

	if (other != 0 && other != E_NOTFOUND && other != E_INTEGRITY)
		return other;
	e = peek(path, &first, b, r, why);
	if ((e == E_NOTFOUND && other != E_NOTFOUND) || (e == E_INTEGRITY && other == 0) || (e == 0 && r->lease_epoch < lease_epoch))
		e = peek(path, &second, b, r, why); /* damaged, it is no "there is none" */
	return e;
}

/* --- the last contact: a number as text, in a file of its own; what can't be read means none --- */

#define CONTACT "contact"
#define CONTACT_FORM "%020" PRIu64 "\n"
#define CONTACT_SIZE 21

int statedir_touch(struct statedir *d, uint64_t contact, char why[STATEDIR_WHY])
{
	int fd = openat(d->fd, CONTACT, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), ok;
	char text[CONTACT_SIZE + 1];

	if (fd < 0)
		return complain(why, "write", CONTACT);
	snprintf(text, sizeof(text), CONTACT_FORM, contact);
	ok = pwrite(fd, text, CONTACT_SIZE, 0) == CONTACT_SIZE && fdatasync(fd) == 0;
	if (!ok)
		complain(why, "write", CONTACT);
	close(fd);
	return ok ? 0 : E_IO;
}

uint64_t statedir_contact(struct statedir *d)
{
	int fd = openat(d->fd, CONTACT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[CONTACT_SIZE + 1] = "", again[CONTACT_SIZE + 1];
	uint64_t contact = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, text, CONTACT_SIZE, 0) == CONTACT_SIZE)
		contact = strtoull(text, NULL, 10);
	close(fd);
	snprintf(again, sizeof(again), CONTACT_FORM, contact);
	return strcmp(text, again) == 0 ? contact : 0;
}

/* --- what the KMC gave this host --- */

int statedir_identity(struct statedir *d, struct view pem, char why[STATEDIR_WHY])
{
	static const char *const new = STATEDIR_IDENTITY ".new";
	int fd = openat(d->fd, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && pwrite(fd, pem.p, pem.n, 0) == (ssize_t)pem.n && fdatasync(fd) == 0;

	if (!ok)
		complain(why, "write", new);
	if (fd >= 0)
		close(fd);
	if (!ok)
		return E_IO;
	if (renameat(d->fd, new, d->fd, STATEDIR_IDENTITY) != 0 || fsync(d->fd) != 0)
		return complain(why, "put into its place", STATEDIR_IDENTITY);
	return 0;
}
