# tests/ring2/: integration without a hypervisor. The product's own objects, with three files replaced by fakes.

RING2 := $(OUT)/ring2
RING2_PROGRAMS :=
comma := ,

# ring2-program NAME, SOURCES, LIBRARIES: a helper of the tests, in $(RING2)
define ring2-program
RING2_PROGRAMS += $(RING2)/$(1)
$(RING2)/$(1): $$(patsubst %.c,$(OUT)/obj/%.o,$(2)) $(OUT)/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $(3)
endef

RING2_FAKES := $(addprefix tests/ring2/,domains.c fake_hypervisor.c fake_stub_domain.c fake_channel_vchan.c disk.c)
RING2_RELAYD := $(filter-out dom0-relay/hypervisor.c dom0-relay/stub_domain.c,$(RELAYD_SRCS)) $(RING2_FAKES)
RING2_DISK := $(addprefix -Wl$(comma)--wrap=,openat pwrite fdatasync fsync unlinkat posix_fallocate)
$(eval $(call ring2-program,vtpm-relayd-ring2,$(RING2_RELAYD),$(COMMON_LIBS) $(TSS_LIBS) -lxenstore $(RING2_DISK)))
RING2_VTPMCTL := $(VTPMCTL_SRCS) tests/ring2/fake_channel_vchan.c tests/ring2/domains.c
$(eval $(call ring2-program,vtpmctl-ring2,$(RING2_VTPMCTL),$(COMMON_LIBS) $(TSS_LIBS) -ljansson -lxenstore))
RING2_FORWARD := $(FORWARD_SRCS) tests/ring2/fake_vchan_server.c tests/ring2/domains.c
$(eval $(call ring2-program,vtpm-vchan-forward-ring2,$(RING2_FORWARD),$(COMMON_LIBS) -lxenstore))
$(eval $(call ring2-program,libxl-player,tests/ring2/libxl_player.c tests/ring2/domains.c $(SCHEMA_SRCS),-lxenstore))

$(eval $(call ring2-program,host-tpm-probe,tests/ring2/host_tpm_probe.c dom0-relay/host_tpm.c,$(COMMON_LIBS) $(TSS_LIBS)))
$(eval $(call ring2-program,kmc-host,tests/ring2/kmc_host.c tests/ring2/kmc_client.c tests/ring2/kmc_enrol.c tests/ring2/kmc_load.c dom0-relay/host_tpm.c dom0-relay/host_identity.c,$(COMMON_LIBS) $(TSS_LIBS)))
$(eval $(call ring2-program,nv-load,tests/ring2/nv_load.c tests/ring2/frontend.c,))
$(eval $(call ring2-program,proxy,tests/ring2/proxy.c,))
$(eval $(call ring2-program,memory-search,tests/ring2/memory_search.c,))
$(eval $(call ring2-program,domain-crash,tests/ring2/domain_crash.c,-lxenctrl))
$(OUT)/obj/tests/ring2/domain_crash.o: ALL_CFLAGS += -std=gnu11 # xenctrl.h
$(eval $(call ring2-program,proxy-kernel,tests/ring2/proxy_kernel.c,))
$(eval $(call ring2-program,hostile-stub,tests/ring2/hostile_stub.c,$(COMMON_LIBS)))

# Preloaded into Debian's xenstored: no sanitizer, whatever the variant.
RING2_PROGRAMS += $(RING2)/xen-shim.so
$(RING2)/xen-shim.so: tests/ring2/xen_shim.c tests/ring2/domains.c tests/ring2/domains.h
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@gcc -std=gnu11 -O2 -g -I. -D_GNU_SOURCE -Wall -Wextra -shared -fPIC -o $@ $(filter %.c,$^)

# Preloaded into kmcd, likewise.
RING2_PROGRAMS += $(RING2)/faults.so
$(RING2)/faults.so: tests/ring2/faults.c
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@gcc -std=gnu11 -O2 -g -I. -D_GNU_SOURCE -Wall -Wextra -shared -fPIC -o $@ $<

.PHONY: ring2-programs
ring2-programs: all $(RING2_PROGRAMS)
