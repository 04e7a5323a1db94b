/* What 'vtpmctl state export' writes, as kmcctl reads it: what is accepted has one encoding only. */
#include "common/buf.h"
#include "common/statefile.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct statefile f;
	struct buf b;

	if (statefile_read(view_of(data, size), &f) != 0)
		return 0;
	must(f.version > 0 && f.state.n > 0 && f.state.n < size);
	must(buf_init(&b, STATEFILE_MAX) == 0 && statefile_write(&b, &f) == 0);
	must(b.len == size && memcmp(b.data, data, size) == 0);
	buf_free(&b);
	return 0;
}
