# tests/bench/: measurements; each writes its own section of docs/benchmarks.md.

BENCH_SCALE ?= 1
BENCH_STUB_SRCS := $(addprefix tests/bench/,bench_stub.c target.c) tests/ring2/frontend.c $(ENGINE_SRCS)
$(OUT)/bench/bench-stub: $(patsubst %.c,$(OUT)/obj/%.o,$(BENCH_STUB_SRCS)) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -ltpms $(COMMON_LIBS) -lpthread

.PHONY: bench bench-stub
bench: bench-stub ## measure and write docs/benchmarks.md
bench-stub: $(OUT)/bench/bench-stub $(BIN)/vtpm-stubdom
	@tests/bench/bench-stub $(OUT) $(BENCH_SCALE) | tests/bench/into-docs stub

.PHONY: bench-lab
bench: bench-lab
bench-lab: ## measure in the Xen lab
	@tests/bench/bench-lab | tests/bench/into-docs lab
