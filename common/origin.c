/* Whose keys a vTPM has, as bytes. */
#include "common/origin.h"

#include "common/buf.h"
#include "common/error.h"

struct view origin_put(const struct origin *o, uint8_t room[ORIGIN_SIZE])
{
	struct buf b;

	if (!o->generation)
		return (struct view){0};
	buf_over(&b, room, ORIGIN_SIZE);
	buf_put(&b, o->uuid.b, UUID_SIZE);
	buf_put_u32(&b, o->generation);
	return view_of(room, ORIGIN_SIZE);
}

int origin_get(struct view v, struct origin *o)
{
	struct buf b;
	int r;

	*o = (struct origin){.generation = 0};
	if (!v.p)
		return 0;
	buf_view(&b, v.p, v.n);
	if ((r = buf_get(&b, o->uuid.b, UUID_SIZE)) != 0 || (r = buf_get_u32(&b, &o->generation)) != 0 || (r = buf_done(&b)) != 0 ||
	    !o->generation || uuid_is_nil(&o->uuid)) {
		*o = (struct origin){.generation = 0};
		return E_FORMAT;
	}
	return 0;
}
