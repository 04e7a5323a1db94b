/* One reader and one writer for all messages. */
#include "common/msg.h"

#include <string.h>

#include "common/buf.h"
#include "common/cbor.h"
#include "common/error.h"
#include "common/secret.h"
#include "common/uuid.h"

enum { KEY_VERSION, KEY_TYPE, KEY_ID, HEAD_PAIRS };

static const void *member(const void *fields, const struct msg_field *f)
{
	return (const uint8_t *)fields + f->offset;
}

static int is_present(const struct msg_field *f, const void *fields)
{
	if (f->kind == MSG_UINT || f->kind == MSG_UUID)
		return 1;
	return ((const struct view *)member(fields, f))->p != NULL;
}

static int put_field(struct buf *out, const struct msg_field *f, const void *fields)
{
	const void *p = member(fields, f);
	const struct view *v = p;
	uint64_t n;
	int r = cb_put_uint(out, f->key);

	if (r != 0)
		return r;
	switch (f->kind) {
	case MSG_UINT:
		memcpy(&n, p, sizeof(n));
		return n > f->max ? E_ARG : cb_put_uint(out, n);
	case MSG_UUID:
		return cb_put_bytes(out, p, UUID_SIZE);
	case MSG_BYTES:
		return v->n < f->min || v->n > f->max ? E_ARG : cb_put_bytes(out, v->p, v->n);
	case MSG_TEXT:
		return v->n < f->min || v->n > f->max ? E_ARG : cb_put_text(out, (const char *)v->p, v->n);
	}
	return E_ARG;
}

int msg_write(struct buf *out, const struct msg_schema *schema, unsigned int version, uint64_t id, const void *fields)
{
	size_t start = out->len, pairs = HEAD_PAIRS;
	struct buf length;
	int r;

	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct msg_field *f = &schema->fields[i];

		if (is_present(f, fields))
			pairs++;
		else if (!f->optional)
			return E_ARG;
	}
	if ((r = buf_put_u32(out, 0)) != 0 || (r = cb_put_map(out, pairs)) != 0 || (r = cb_put_uint(out, KEY_VERSION)) != 0 ||
	    (r = cb_put_uint(out, version)) != 0 || (r = cb_put_uint(out, KEY_TYPE)) != 0 || (r = cb_put_uint(out, schema->type)) != 0 ||
	    (r = cb_put_uint(out, KEY_ID)) != 0 || (r = cb_put_uint(out, id)) != 0)
		goto undo;
	for (size_t i = 0; i < schema->n_fields; i++)
		if (is_present(&schema->fields[i], fields) && (r = put_field(out, &schema->fields[i], fields)) != 0)
			goto undo;
	buf_over(&length, out->data + start, sizeof(uint32_t));
	return buf_put_u32(&length, (uint32_t)(out->len - start - sizeof(uint32_t)));
undo:
	wipe(out->data + start, out->len - start);
	out->len = start;
	return r;
}

static int get_head(struct buf *b, uint64_t key, uint64_t *v)
{
	uint64_t k;
	int r = cb_get_uint(b, &k);

	if (r == 0 && k != key)
		r = E_FORMAT;
	return r != 0 ? r : cb_get_uint(b, v);
}

int msg_next(struct buf *in, size_t max, struct msg *m)
{
	struct buf peek = *in, body;
	const uint8_t *p;
	uint32_t n;

	if (buf_get_u32(&peek, &n) != 0)
		return E_AGAIN_IN;
	if (n > max)
		return E_RANGE;
	if (buf_get_view(&peek, &p, n) != 0)
		return E_AGAIN_IN;
	buf_view(&body, p, n);
	if (cb_get_map(&body, &m->pairs) != 0 || m->pairs < HEAD_PAIRS || get_head(&body, KEY_VERSION, &m->head.version) != 0 ||
	    get_head(&body, KEY_TYPE, &m->head.type) != 0 || get_head(&body, KEY_ID, &m->head.id) != 0)
		return E_FORMAT;
	m->pairs -= HEAD_PAIRS;
	m->body = view_of(p, n);
	m->fields_at = body.off;
	in->off = peek.off;
	return 0;
}

static int get_field(struct buf *b, const struct msg_field *f, void *fields)
{
	void *p = (uint8_t *)fields + f->offset;
	struct view v = {0};
	uint64_t n;
	int r;

	switch (f->kind) {
	case MSG_UINT:
		r = cb_get_uint(b, &n);
		if (r == 0 && n > f->max)
			r = E_RANGE;
		if (r == 0)
			memcpy(p, &n, sizeof(n));
		return r;
	case MSG_UUID:
		r = cb_get_bytes(b, &v.p, &v.n);
		if (r == 0 && v.n != UUID_SIZE)
			r = E_RANGE;
		if (r == 0)
			memcpy(p, v.p, UUID_SIZE);
		return r;
	case MSG_BYTES:
	case MSG_TEXT:
		r = f->kind == MSG_BYTES ? cb_get_bytes(b, &v.p, &v.n) : cb_get_text(b, &v.p, &v.n);
		if (r == 0 && (v.n < f->min || v.n > f->max))
			r = E_RANGE;
		if (r == 0)
			memcpy(p, &v, sizeof(v));
		return r;
	}
	return E_FORMAT;
}

int msg_fields(const struct msg *m, const struct msg_schema *schema, void *fields)
{
	struct buf b;
	size_t next = 0;
	int r;

	memset(fields, 0, schema->size);
	buf_view(&b, m->body.p, m->body.n);
	b.off = m->fields_at;
	for (size_t i = 0; i < m->pairs; i++) {
		uint64_t key;

		if ((r = cb_get_uint(&b, &key)) != 0)
			return r;
		while (next < schema->n_fields && schema->fields[next].key < key)
			if (!schema->fields[next++].optional)
				return E_FORMAT;
		if (next == schema->n_fields || schema->fields[next].key != key)
			return next && schema->fields[next - 1].key >= key ? E_FORMAT : E_UNKNOWN;
		if ((r = get_field(&b, &schema->fields[next++], fields)) != 0)
			return r;
	}
	while (next < schema->n_fields)
		if (!schema->fields[next++].optional)
			return E_FORMAT;
	return buf_done(&b);
}

const struct msg_schema *msg_schema_find(const struct msg_schema *table, size_t n, uint64_t type)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].type == type)
			return &table[i];
	return NULL;
}

struct view view_of(const void *p, size_t n)
{
	return (struct view){.p = p, .n = n};
}

struct view view_text(const char *s)
{
	return view_of(s, strlen(s));
}

int view_copy_text(struct view v, char *out, size_t cap)
{
	if (v.n >= cap)
		return E_RANGE;
	if (v.n)
		memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return 0;
}
