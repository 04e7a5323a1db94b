/*
 * Messages: a struct and a table of its fields, on the wire a length and one deterministic CBOR map.
 *
 * Theory of operation: a protocol is a list of schemas. The table says for each field its map key, kind, bound and
 * place in the struct; one reader and one writer serve all protocols, so that every message has the same checks:
 * known version, known fields only, keys in ascending order, required fields there, sizes bounded, nothing behind
 * the last field.
 *
 *   frame   = u32 (big endian) length of body, body
 *   body    = { 0: version, 1: message type, 2: request id, key: value, ... }    keys from 3 are the fields'
 */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stddef.h>
#include <stdint.h>

struct buf;

/* Bytes or text that live elsewhere: in the received frame, or in what the sender owns. p == NULL means absent. */
struct view {
	const uint8_t *p;
	size_t n;
};

enum msg_kind {
	MSG_UINT,  /* uint64_t; @max is the greatest value */
	MSG_BYTES, /* struct view; @min..@max bytes */
	MSG_TEXT,  /* struct view; UTF-8 of @min..@max bytes */
	MSG_UUID,  /* struct uuid, 16 bytes */
};

struct msg_field {
	uint8_t key; /* 3 to 255, ascending in the table */
	enum msg_kind kind;
	uint8_t optional; /* bytes and text only */
	uint16_t offset;  /* in the message's struct */
	uint32_t min;
	uint64_t max;
};

struct msg_schema {
	uint16_t type;
	const char *name;
	const struct msg_field *fields;
	size_t n_fields;
	size_t size; /* of the message's struct, in bytes */
};

/* Table entries: MSG_FIELD_*(key, struct, member, bounds). */
#define MSG_FIELD_UINT(k, s, m, maximum) {.key = (k), .kind = MSG_UINT, .offset = offsetof(s, m), .max = (maximum)}
#define MSG_FIELD_UUID(k, s, m) {.key = (k), .kind = MSG_UUID, .offset = offsetof(s, m)}
#define MSG_FIELD_BYTES(k, s, m, lo, hi) {.key = (k), .kind = MSG_BYTES, .offset = offsetof(s, m), .min = (lo), .max = (hi)}
#define MSG_FIELD_TEXT(k, s, m, lo, hi) {.key = (k), .kind = MSG_TEXT, .offset = offsetof(s, m), .min = (lo), .max = (hi)}
#define MSG_FIELD_BYTES_OPT(k, s, m, lo, hi) \
	{.key = (k), .kind = MSG_BYTES, .optional = 1, .offset = offsetof(s, m), .min = (lo), .max = (hi)}
#define MSG_FIELD_TEXT_OPT(k, s, m, lo, hi) \
	{.key = (k), .kind = MSG_TEXT, .optional = 1, .offset = offsetof(s, m), .min = (lo), .max = (hi)}

struct msg_head {
	uint64_t version;
	uint64_t type;
	uint64_t id; /* set by who asks, repeated by who answers */
};

/* A received message before its fields are read: the schema is chosen by head.type. */
struct msg {
	struct msg_head head;
	size_t pairs; /* fields that follow */
	struct view body;
	size_t fields_at; /* offset of the first field's key in body */
};

/**
 * msg_write() - append one whole frame to @out
 * @fields: the schema's struct
 *
 * Return: 0; E_RANGE (no room: @out is unchanged); E_ARG (a field is missing or out of its bounds).
 */
int msg_write(struct buf *out, const struct msg_schema *schema, unsigned int version, uint64_t id, const void *fields);

/**
 * msg_next() - take the next frame from a stream
 * @in: received bytes; the frame is skipped on success, and @m points into it until @in is compacted
 * @max: the largest body that is accepted, in bytes
 *
 * Return: 0; E_AGAIN_IN (the frame is not all there yet); E_RANGE (longer than @max), E_FORMAT (not our map): the
 * stream can't be resumed after these.
 */
int msg_next(struct buf *in, size_t max, struct msg *m);

/**
 * msg_fields() - read the fields of @m into the schema's struct at @fields
 *
 * Return: 0; E_UNKNOWN (a field that the schema lacks); E_FORMAT (missing, wrong kind or order); E_RANGE; E_TRAILING.
 */
int msg_fields(const struct msg *m, const struct msg_schema *schema, void *fields);

/** msg_schema_find() - the schema with @type in a table of @n, or NULL. */
const struct msg_schema *msg_schema_find(const struct msg_schema *table, size_t n, uint64_t type);

struct view view_of(const void *p, size_t n);
struct view view_text(const char *s);

/** view_copy_text() - copy @v as a NUL-terminated string; 0 or E_RANGE when it does not fit in @cap bytes. */
int view_copy_text(struct view v, char *out, size_t cap);

#endif
