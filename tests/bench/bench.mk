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

$(OUT)/bench/bench-kmc: $(patsubst %.c,$(OUT)/obj/%.o,tests/bench/bench_kmc.c tests/ring2/kmc_client.c dom0-relay/host_tpm.c dom0-relay/host_identity.c) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(COMMON_LIBS) $(TSS_LIBS)

.PHONY: bench-kmc
bench: bench-kmc
bench-kmc: $(OUT)/bench/bench-kmc all ## measure the KMC
	@tests/bench/bench-kmc $(BENCH_SCALE) | tests/bench/into-docs kmc

# In a guest that has no libraries.
$(OUT)/bench/tick: tests/bench/tick.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -static -o $@ $<

.PHONY: bench-life
bench: bench-life
bench-life: $(OUT)/bench/tick ## measure migration, save and restore in the Xen lab; draws docs/life.svg
	@tests/bench/bench-life docs/life.svg | tests/bench/into-docs life
