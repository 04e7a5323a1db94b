/* Certificates that a KMC sends to a relay, and the engine to the front. */
#include "common/buf.h"
#include "common/certinfo.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct certinfo_der list[4];
	uint8_t spki[CERTINFO_SPKI_MAX], room[4096];
	struct certinfo c;
	struct buf b;
	int n = certinfo_split(view_of(data, size), list, 4);

	for (int i = 0; i < n; i++) {
		const struct view der = view_of(list[i].bytes, list[i].size);

		must(certinfo_of(der, &c) == 0);
		buf_over(&b, room, sizeof(room));
		must(certinfo_pem(der, &b) == 0);
		if (certinfo_public(der, spki) > 0)
			must(certinfo_same_holder(der, der));
	}
	return 0;
}
