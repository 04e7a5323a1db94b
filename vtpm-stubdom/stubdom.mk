# vtpm-stubdom/: the stub domain's program.

STUBDOM_SRCS := $(addprefix vtpm-stubdom/,main.c service.c relaylink.c vtpm.c standin.c backend.c port.c port_unix.c port_xen.c tpmif.c tpm12.c \
	handed.c effect.c sealed.c endorsement.c engine_libtpms.c blob.c derive.c) $(SCHEMA_SRCS)
# Linked in where the archive is as good as the library, so that what is never called takes no memory of the domain. Not Xen's: Debian's
# libxenstore.a has no thread that reads, and can't watch.
STUBDOM_LIBS := -Wl,-Bstatic -ltpms -levent_core -lseccomp -lcrypto -Wl,-Bdynamic -lxenvchan -lxengnttab -lxenevtchn -lxenstore
$(eval $(call program,vtpm-stubdom,$(STUBDOM_SRCS),$(STUBDOM_LIBS)))

# Ring 2: a guest and a relay for it (tests/ring2/lib/stub.sh).
STUBDOM_RING2 := $(OUT)/ring2
$(STUBDOM_RING2)/stub-tcti: $(addprefix $(OUT)/obj/tests/ring2/,stub_tcti.o frontend.o)
$(STUBDOM_RING2)/stub-relay: $(addprefix $(OUT)/obj/,tests/ring2/stub_relay.o dom0-relay/stublink.o vtpm-stubdom/sealed.o vtpm-stubdom/derive.o)
$(STUBDOM_RING2)/stub-%: $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(OUT)/libcommon.a $(COMMON_LIBS)

# Unit tests
DERIVE_SRCS := vtpm-stubdom/derive.c
SEALED_SRCS := vtpm-stubdom/sealed.c $(DERIVE_SRCS)
BLOB_SRCS := vtpm-stubdom/blob.c $(DERIVE_SRCS)
$(eval $(call unit,derive,$(DERIVE_SRCS),$(COMMON_LIBS)))
$(eval $(call unit,sealed,$(SEALED_SRCS),$(COMMON_LIBS)))
$(eval $(call unit,tpmif,vtpm-stubdom/tpmif.c,))
$(eval $(call unit,port_xen,$(addprefix vtpm-stubdom/,port_xen.c port.c backend.c tpmif.c) $(SCHEMA_SRCS),$(COMMON_LIBS)))
ENGINE_SRCS := vtpm-stubdom/engine_libtpms.c vtpm-stubdom/tpmif.c $(BLOB_SRCS)
$(eval $(call unit,engine,$(ENGINE_SRCS),-ltpms $(COMMON_LIBS)))
$(eval $(call unit,endorsement,vtpm-stubdom/endorsement.c $(ENGINE_SRCS),-ltpms $(COMMON_LIBS)))
$(eval $(call unit,tpm12,vtpm-stubdom/tpm12.c $(ENGINE_SRCS),-ltpms $(COMMON_LIBS)))
$(eval $(call unit,blob,$(ENGINE_SRCS),-ltpms $(COMMON_LIBS)))
VTPM_SRCS := $(addprefix vtpm-stubdom/,vtpm.c handed.c effect.c endorsement.c tpm12.c sealed.c) $(ENGINE_SRCS)
$(foreach test,vtpm vtpm_changes vtpm_sleep,$(eval $(call unit,$(test),tests/unit/one_vtpm.c $(VTPM_SRCS),-ltpms $(COMMON_LIBS))))
SERVICE_SRCS := $(addprefix vtpm-stubdom/,service.c relaylink.c standin.c backend.c port.c port_unix.c) $(VTPM_SRCS)
$(foreach test,service service_guest service_sleep service_standin service_failure,$(eval $(call unit,$(test),tests/unit/stub.c tests/ring2/frontend.c $(SERVICE_SRCS),-ltpms $(COMMON_LIBS))))

# Fuzz targets
$(eval $(call fuzzer,tpmif,vtpm-stubdom/tpmif.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,blob,$(BLOB_SRCS),$(COMMON_LIBS)))
$(eval $(call fuzzer,sealed,$(SEALED_SRCS),$(COMMON_LIBS)))
$(eval $(call fuzzer,tpm12,vtpm-stubdom/tpm12.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,handoff,$(SERVICE_SRCS),-ltpms $(COMMON_LIBS)))

STUB_SEEDS_SRCS := tests/fuzz/make_stub_seeds.c $(SEALED_SRCS)
$(OUT)/fuzz/make_stub_seeds: $(patsubst %.c,$(OUT)/obj/%.o,$(STUB_SEEDS_SRCS)) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(COMMON_LIBS)

.PHONY: fuzz-seeds-stub
fuzz-seeds-stub: $(OUT)/fuzz/make_stub_seeds ## write the seed corpora of the stub domain's targets anew
	@$< tests/fuzz/corpus

ring2-programs: $(STUBDOM_RING2)/stub-relay $(STUBDOM_RING2)/stub-tcti
