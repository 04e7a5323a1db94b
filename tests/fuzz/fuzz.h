/* What every fuzz target includes: libFuzzer's entry point, and a check that ends the run. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input: libFuzzer keeps the input that breaks it. */
#define must(condition)              \
	do {                         \
		if (!(condition))    \
			abort();     \
	} while (0)

#endif
