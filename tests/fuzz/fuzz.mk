# tests/fuzz/: fuzz targets of common/ and dom0-relay/, and how all targets are run.

FUZZ_SECONDS ?= 600
MSG_SRCS := dom0-relay/ctlmsg.c dom0-relay/relaymsg.c dom0-relay/statemsg.c
$(eval $(call fuzzer,msg,$(MSG_SRCS),$(COMMON_LIBS)))
$(eval $(call fuzzer,config,dom0-relay/relayconf.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,certs,,$(COMMON_LIBS)))
$(eval $(call fuzzer,uuid,,$(COMMON_LIBS)))
$(eval $(call fuzzer,statefile,,$(COMMON_LIBS)))
$(eval $(call fuzzer,nodes,$(SCHEMA_SRCS),$(COMMON_LIBS)))
$(eval $(call fuzzer,envelope,,$(COMMON_LIBS)))

$(OUT)/fuzz/make_seeds: $(patsubst %.c,$(OUT)/obj/%.o,tests/fuzz/make_seeds.c $(MSG_SRCS)) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(COMMON_LIBS)

.PHONY: fuzz fuzz-seeds check-fuzz
ifeq ($(VARIANT),fuzz)
fuzz: $(FUZZERS)
	@tests/fuzz/run $(FUZZ_SECONDS) -1 $(FUZZERS)

check-fuzz: $(FUZZERS) ## replay the seeds and fuzz each target for some seconds
	@tests/fuzz/run 5 30000 $(FUZZERS)
else
fuzz check-fuzz: ## run every fuzz target for FUZZ_SECONDS (600)
	@+$(MAKE) --no-print-directory VARIANT=fuzz $@
endif

fuzz-seeds: $(OUT)/fuzz/make_seeds ## write the seed corpora of common/ and dom0-relay/ anew
	@mkdir -p tests/fuzz/corpus
	@$< tests/fuzz/corpus
