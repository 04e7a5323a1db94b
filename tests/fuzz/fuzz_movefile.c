/* Files of a vTPM's move between KMCs, by the input's first byte: a package, a receipt, a KMC's key, a whole file. */
#include "common/buf.h"
#include "kmc/movefile.h"
#include "tests/fuzz/fuzz.h"

static void try_package(struct view in)
{
	struct move_checked c;

	if (move_check(in, &c) == 0) {
		must(c.terms.generation > 0 && c.sealed.seed.n == MOVE_SEED_SIZE);
		move_check_state(&c.terms, in);
	}
}

static void try_card(struct view in)
{
	uint8_t hash[MOVE_HASH_SIZE];
	struct move_card card;

	if (move_read(in, MOVE_CARD, &card) == 0)
		must(move_fingerprint(&card, hash) == 0 && card.seed_key.n == MOVE_NAME_SIZE);
}

static void try_file(struct view in)
{
	struct move_state state;
	struct view frame;
	struct buf b;

	buf_view(&b, in.p, in.n);
	if (move_next(&b, MOVE_PACKAGE, &frame) != 0)
		return;
	must(frame.n <= in.n);
	try_package(frame);
	if (move_next(&b, MOVE_STATE, &frame) == 0 && move_read(frame, MOVE_STATE, &state) == 0)
		must(state.state.n > 0 && state.state.n < in.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct move_acceptance receipt;
	struct view in;

	if (size == 0)
		return 0;
	in = view_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		try_package(in);
		break;
	case 1:
		if (move_check_receipt(in, &receipt) == 0)
			must(receipt.id.n == MOVE_ID_SIZE);
		break;
	case 2:
		try_card(in);
		break;
	default:
		try_file(in);
	}
	return 0;
}
