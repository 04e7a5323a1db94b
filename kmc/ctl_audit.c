/* kmcctl audit: checking. */
#include "kmc/ctl_audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/results.h"
#include "kmc/ca.h"

#define HEADS_MAX 1024
#define PEM_MAX 4096
#define LINE_MAX_BYTES 4096

/* A place in the chain whose hash somebody vouches for. */
struct point {
	uint64_t seq;
	uint8_t hash[AUDIT_HASH_SIZE];
	char whose[96];
};

struct verifying {
	struct audit_chain chain;
	struct point points[HEADS_MAX + 1]; /* signed heads, and what the database says is the last record */
	size_t n_points;
	uint8_t pem[PEM_MAX];
	size_t pem_size;
	unsigned int bad; /* findings */
	bool more, broken;
};

static void finding(struct verifying *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void finding(struct verifying *v, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	v->bad++;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (results_are_json())
		results_finding("wrong", text);
	else
		printf("FOUND: %s\n", text);
}

static void add_point(struct verifying *v, uint64_t seq, struct view hash, const char *whose)
{
	struct point *p = &v->points[v->n_points];

	if (v->n_points == HEADS_MAX + 1) {
		finding(v, "there are more than %d heads to check: split the file", HEADS_MAX);
		return;
	}
	p->seq = seq;
	memcpy(p->hash, hash.p, AUDIT_HASH_SIZE);
	snprintf(p->whose, sizeof(p->whose), "%s", whose);
	v->n_points++;
}

/* A signed head counts if its signature is good. */
static void take_head(struct verifying *v, struct view bytes, const char *whose)
{
	uint8_t room[AUDIT_HEAD_MAX + sizeof(AUDIT_LABEL)];
	struct audit_signed s;
	struct audit_head h;
	struct buf b;
	uint64_t seq;

	buf_over(&b, room, sizeof(room));
	if (audit_signed_read(bytes, &seq, &s, &h) != 0 || audit_signed_bytes(&b, s.head) != 0)
		finding(v, "%s is no signed head", whose);
	else if (ca_verify(view_of(v->pem, v->pem_size), view_of(room, b.len), s.signature) != 0)
		finding(v, "%s has a wrong signature", whose);
	else
		add_point(v, seq, h.hash, whose);
}

static bool on_head(void *arg, uint64_t type, const void *fields)
{
	const struct adm_audit_head *m = fields;
	struct verifying *v = arg;

	if (type == ADM_AUDIT_HEAD)
		take_head(v, m->head, "the signed head in the database");
	return type == ADM_AUDIT_HEAD;
}

static bool on_last(void *arg, uint64_t type, const void *fields)
{
	const struct adm_audit_chain *m = fields;

	if (type == ADM_AUDIT_CHAIN && m->seq)
		add_point(arg, m->seq, m->hash, "what the database says is the last record");
	return false;
}

static void check_points(struct verifying *v)
{
	for (size_t i = 0; i < v->n_points; i++)
		if (v->points[i].seq == v->chain.seq && memcmp(v->points[i].hash, v->chain.hash, AUDIT_HASH_SIZE) != 0)
			finding(v, "record %" PRIu64 " is not the one that %s is about: it or one before was replaced", v->chain.seq,
				v->points[i].whose);
}

static bool on_record(void *arg, uint64_t type, const void *fields)
{
	const struct adm_audit_record *m = fields;
	const struct adm_end *end = fields;
	struct verifying *v = arg;
	char why[AUDIT_WHY];

	if (type != ADM_AUDIT_RECORD) {
		v->more = type == ADM_END && end->more;
		return false;
	}
	if (v->broken)
		return true;
	if (audit_chain_add(&v->chain, m->seq, m->record, why) == 0) {
		check_points(v);
	} else {
		v->broken = true;
		finding(v, "%s", why);
	}
	return true;
}

static int read_key(struct verifying *v, const char *path)
{
	FILE *f = fopen(path, "re");

	v->pem_size = f ? fread(v->pem, 1, sizeof(v->pem), f) : 0;
	if (f)
		fclose(f);
	if (v->pem_size && v->pem_size < sizeof(v->pem))
		return EXIT_FINE;
	ctl_say("can't read the audit trail's public key %s: %s", path, strerror(errno));
	return EXIT_ERROR;
}

#define HEX "0123456789abcdef"

static unsigned int hex_digit(char c)
{
	return (unsigned int)(strchr(HEX, c) - HEX);
}

/* Bytes of the hex digits at the end of @line, or 0. */
static size_t hex_at_end(const char *line, uint8_t *out, size_t cap)
{
	size_t end = strlen(line), start, n;

	while (end && strchr(" \t\r\n", line[end - 1]))
		end--;
	for (start = end; start && strchr(HEX, line[start - 1]); start--)
		;
	n = (end - start) / 2;
	if ((end - start) % 2 || n > cap)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(hex_digit(line[start + 2 * i]) << 4 | hex_digit(line[start + 2 * i + 1]));
	return n;
}

static int read_heads(struct verifying *v, const char *path)
{
	char line[LINE_MAX_BYTES], whose[96];
	uint8_t head[AUDIT_HEAD_MAX];
	FILE *f = fopen(path, "re");

	if (!f) {
		ctl_say("can't read the heads in %s: %s", path, strerror(errno));
		return EXIT_ERROR;
	}
	for (unsigned int n = 1; fgets(line, sizeof(line), f); n++) {
		snprintf(whose, sizeof(whose), "the head in line %u of %.60s", n, path);
		take_head(v, view_of(head, hex_at_end(line, head, sizeof(head))), whose);
	}
	fclose(f);
	return EXIT_FINE;
}

static int walk(struct ctl_client *c, struct verifying *v)
{
	struct adm_audit_list m;
	int code;

	do {
		m.after = v->chain.seq;
		v->more = false;
		code = ctl_ask(c, ADM_AUDIT_LIST, &m, on_record, v);
	} while (code == EXIT_FINE && v->more && !v->broken);
	return code;
}

static int conclude(struct verifying *v)
{
	for (size_t i = 0; i < v->n_points && !v->broken; i++)
		if (v->points[i].seq > v->chain.seq)
			finding(v, "the trail ends with record %" PRIu64 ", but there was a record %" PRIu64 ": so says %s. The end was cut off",
				v->chain.seq, v->points[i].seq, v->points[i].whose);
	results_truth("whole", v->bad == 0);
	results_number("records", v->chain.seq);
	results_number("heads", v->n_points);
	if (v->bad == 0 && !results_are_json())
		printf("%" PRIu64 " records, whole and in order; %zu heads fit\n", v->chain.seq, v->n_points);
	return v->bad ? EXIT_ERROR : EXIT_FINE;
}

int ctl_audit_verify(struct ctl_client *c, const char *key, const char *heads)
{
	struct verifying *v = calloc(1, sizeof(*v));
	int code = v ? read_key(v, key) : EXIT_ERROR;

	if (code == EXIT_FINE && heads)
		code = read_heads(v, heads);
	if (code == EXIT_FINE && (code = ctl_ask(c, ADM_AUDIT_HEADS, NULL, on_head, v)) == EXIT_FINE &&
	    (code = ctl_ask(c, ADM_AUDIT_LAST, NULL, on_last, v)) == EXIT_FINE && (code = walk(c, v)) == EXIT_FINE)
		code = conclude(v);
	free(v);
	return code;
}
