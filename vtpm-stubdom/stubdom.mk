# vtpm-stubdom/: the stub domain's program.

STUBDOM_SRCS := $(addprefix vtpm-stubdom/,main.c service.c relaylink.c vtpm.c backend.c port.c port_unix.c port_xen.c tpmif.c tpm12.c \
	sealed.c engine_libtpms.c blob.c derive.c) $(SCHEMA_SRCS)
STUBDOM_LIBS := -ltpms -lxenvchan -lxengnttab -lxenevtchn -lxenstore -lcbor -levent_core -lseccomp -lcrypto
$(eval $(call program,vtpm-stubdom,$(STUBDOM_SRCS),$(STUBDOM_LIBS)))

# Ring 2: a guest and a relay for it (tests/ring2/lib/stub.sh).
STUBDOM_RING2 := $(OUT)/ring2
$(STUBDOM_RING2)/stub-tcti: $(addprefix $(OUT)/obj/tests/ring2/,stub_tcti.o frontend.o)
$(STUBDOM_RING2)/stub-relay: $(addprefix $(OUT)/obj/,tests/ring2/stub_relay.o dom0-relay/stublink.o vtpm-stubdom/sealed.o vtpm-stubdom/derive.o)
$(STUBDOM_RING2)/stub-%: $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(OUT)/libcommon.a $(COMMON_LIBS)
