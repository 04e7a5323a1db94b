/* What happened to the vTPMs of this host, as a file. */
#include "dom0-relay/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/text.h"

#define MAGIC 0x56544d48u /* "VTMH" */
#define PLACE_SIZE (HISTORY_RECORDS * HISTORY_SIZE)
#define TAIL (HISTORY_SIZE - 8) /* where the number stands again */

/* Whose a place is, and where the next record goes. */
struct place {
	struct uuid uuid;
	uint64_t last; /* number of its newest record; 0: free */
	unsigned int next;
};

struct history {
	int fd;
	uint64_t last;
	struct place places[HISTORY_VTPMS];
};

const char *history_text(enum history_event event)
{
	static const char *const texts[] = {
		[HISTORY_REQUESTED] = "requested", [HISTORY_OPENED] = "opened", [HISTORY_SERVING] = "serving", [HISTORY_RESERVED] = "reserved",
		[HISTORY_RUNS] = "runs-here", [HISTORY_SLEEPS] = "sleeps", [HISTORY_SEALED] = "sealed", [HISTORY_SUSPENDED] = "suspended",
		[HISTORY_WAKES] = "wakes", [HISTORY_FENCED] = "fenced", [HISTORY_STUB_DIED] = "stub-died", [HISTORY_STANDIN] = "stand-in",
		[HISTORY_FOUND] = "found", [HISTORY_FAILED] = "failed", [HISTORY_CLOSING] = "closing", [HISTORY_CLOSED] = "closed",
		[HISTORY_TPM_FAILED] = "tpm-failed",
	};
	_Static_assert(sizeof(texts) / sizeof(texts[0]) == HISTORY_EVENTS, "a text for each event");

	return event > 0 && event < HISTORY_EVENTS ? texts[event] : "?";
}

/* --- a record --- */

void history_record_write(const struct history_record *r, uint8_t out[HISTORY_SIZE])
{
	const size_t n = strnlen(r->detail, HISTORY_DETAIL - 1);
	struct buf b;

	memset(out, 0, HISTORY_SIZE);
	buf_over(&b, out, TAIL);
	buf_put_u32(&b, MAGIC);
	buf_put_u64(&b, r->number);
	buf_put_u64(&b, r->time);
	buf_put(&b, r->uuid.b, UUID_SIZE);
	buf_put_u32(&b, r->guest);
	buf_put_u32(&b, r->dev);
	buf_put_u32(&b, r->event);
	buf_put_u32(&b, (uint32_t)n);
	buf_put(&b, r->detail, n);
	buf_over(&b, out + TAIL, 8);
	buf_put_u64(&b, r->number);
}

int history_record_read(const uint8_t in[HISTORY_SIZE], struct history_record *r)
{
	uint32_t magic, event, n;
	struct buf b, tail;
	uint64_t again;

	*r = (struct history_record){0};
	buf_view(&b, in, TAIL);
	buf_view(&tail, in + TAIL, 8);
	if (buf_get_u32(&b, &magic) != 0 || buf_get_u64(&b, &r->number) != 0 || buf_get_u64(&b, &r->time) != 0 || buf_get(&b, r->uuid.b, UUID_SIZE) != 0 ||
	    buf_get_u32(&b, &r->guest) != 0 || buf_get_u32(&b, &r->dev) != 0 || buf_get_u32(&b, &event) != 0 || buf_get_u32(&b, &n) != 0 ||
	    magic != MAGIC || buf_get_u64(&tail, &again) != 0 || r->number == 0 || r->number != again || event == 0 || event >= HISTORY_EVENTS ||
	    n >= HISTORY_DETAIL || buf_get(&b, r->detail, n) != 0)
		return E_FORMAT;
	r->event = (enum history_event)event;
	r->detail[n] = '\0';
	text_make_printable(r->detail);
	return 0;
}

/* --- the file --- */

/* Place @i of the file, zeros where it ends: 0 or E_IO. */
static int read_place(int fd, size_t i, uint8_t bytes[PLACE_SIZE])
{
	ssize_t n = pread(fd, bytes, PLACE_SIZE, (off_t)(i * PLACE_SIZE));

	if (n < 0)
		return E_IO;
	memset(bytes + n, 0, PLACE_SIZE - (size_t)n);
	return 0;
}

/* Whose the newest record is, theirs is the place. */
static void learn(struct history *h, struct place *p, const uint8_t bytes[PLACE_SIZE])
{
	struct history_record r;

	for (unsigned int i = 0; i < HISTORY_RECORDS; i++) {
		if (history_record_read(bytes + (size_t)i * HISTORY_SIZE, &r) != 0 || r.number <= p->last)
			continue;
		*p = (struct place){.uuid = r.uuid, .last = r.number, .next = (i + 1) % HISTORY_RECORDS};
		h->last = r.number > h->last ? r.number : h->last;
	}
}

int history_open(struct history **out, const char *path, char why[HISTORY_WHY])
{
	struct history *h = calloc(1, sizeof(*h));
	uint8_t *bytes = malloc(PLACE_SIZE);
	char name[512];
	int r = h && bytes ? 0 : E_NOMEM;

	snprintf(name, sizeof(name), "%s/%s", path, HISTORY_FILE);
	if (r == 0) {
		h->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		r = h->fd < 0 ? E_IO : 0;
	}
	for (size_t i = 0; r == 0 && i < HISTORY_VTPMS; i++)
		if ((r = read_place(h->fd, i, bytes)) == 0)
			learn(h, &h->places[i], bytes);
	if (r != 0) {
		snprintf(why, HISTORY_WHY, "can't use %.150s: %s", name, r == E_IO ? strerror(errno) : error_text(r));
		if (h && h->fd > 0)
			close(h->fd);
		free(h);
		h = NULL;
	}
	free(bytes);
	*out = h;
	return r;
}

void history_close(struct history **h)
{
	if (!*h)
		return;
	close((*h)->fd);
	free(*h);
	*h = NULL;
}

/* The place of @uuid: its own, a free one, or that of which nothing was heard for longest. */
static struct place *place_of(struct history *h, const struct uuid *uuid)
{
	struct place *oldest = &h->places[0];

	for (size_t i = 0; i < HISTORY_VTPMS; i++) {
		struct place *p = &h->places[i];

		if (p->last && uuid_equal(&p->uuid, uuid))
			return p;
		if (p->last < oldest->last)
			oldest = p;
	}
	oldest->uuid = *uuid; /* over what another had there, one record after the other */
	oldest->next = 0;
	return oldest;
}

int history_add(struct history *h, const struct history_record *r)
{
	struct place *p = place_of(h, &r->uuid);
	struct history_record numbered = *r;
	uint8_t bytes[HISTORY_SIZE];
	off_t at = (off_t)((size_t)(p - h->places) * PLACE_SIZE + (size_t)p->next * HISTORY_SIZE);

	p->last = numbered.number = ++h->last;
	history_record_write(&numbered, bytes);
	if (pwrite(h->fd, bytes, sizeof(bytes), at) != (ssize_t)sizeof(bytes))
		return E_IO;
	p->next = (p->next + 1) % HISTORY_RECORDS;
	return 0;
}

/* --- for who reads --- */

/* Into @out, which has @n, sorted by number; the oldest goes if it is full. Return: how many there are. */
static int insert(struct history_record *out, int n, const struct history_record *r)
{
	int at = n;

	while (at > 0 && out[at - 1].number > r->number)
		at--;
	if (n < HISTORY_RECORDS) {
		memmove(out + at + 1, out + at, (size_t)(n - at) * sizeof(*out));
		out[at] = *r;
		return n + 1;
	}
	if (at == 0)
		return n;
	memmove(out, out + 1, (size_t)(at - 1) * sizeof(*out));
	out[at - 1] = *r;
	return n;
}

int history_read(const char *path, const struct uuid *uuid, struct history_record *out)
{
	uint8_t *bytes = malloc(PLACE_SIZE);
	struct history_record r;
	char name[512];
	int fd, n = 0, e = bytes ? 0 : E_NOMEM;

	snprintf(name, sizeof(name), "%s/%s", path, HISTORY_FILE);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		e = errno == ENOENT ? E_NOTFOUND : E_IO;
	for (size_t i = 0; e == 0 && i < HISTORY_VTPMS; i++) {
		e = read_place(fd, i, bytes);
		for (size_t k = 0; e == 0 && k < HISTORY_RECORDS; k++)
			if (history_record_read(bytes + k * HISTORY_SIZE, &r) == 0 && uuid_equal(&r.uuid, uuid))
				n = insert(out, n, &r);
	}
	if (fd >= 0)
		close(fd);
	free(bytes);
	return e == 0 ? n : e;
}
