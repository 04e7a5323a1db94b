# vtpm-stubdom/guest/: the guest package's daemon.

GUESTD_PURE := $(addprefix vtpm-stubdom/guest/,life.c command.c ring.c frozen.c) vtpm-stubdom/tpmif.c
GUESTD_SRCS := $(GUESTD_PURE) $(addprefix vtpm-stubdom/guest/,main.c guestd.c bus.c bus_unix.c bus_xen.c keeper.c device.c freezer.c root.c) $(SCHEMA_SRCS)
GUESTD_LIBS := -lxengnttab -lxenevtchn -lxenstore -lseccomp
$(eval $(call program,vtpm-guestd,$(GUESTD_SRCS),$(GUESTD_LIBS)))

# What a guest gets, laid out like /.
GUEST := $(DESTDIR)$(PREFIX)
GUEST_FILES := packaging/guest
.PHONY: install-guest
install-guest: $(BIN)/vtpm-guestd ## install the guest package's files below DESTDIR
	@install -D -m 755 $< $(GUEST)/sbin/vtpm-guestd
	@install -D -m 755 $(GUEST_FILES)/guest-start $(GUEST)/lib/xen-vtpm/guest-start
	@install -D -m 644 $(GUEST_FILES)/vtpm-guestd.service $(GUEST)/lib/systemd/system/vtpm-guestd.service
	@install -D -m 644 $(GUEST_FILES)/modprobe.conf $(GUEST)/lib/modprobe.d/vtpm-guestd.conf
	@install -D -m 644 $(GUEST_FILES)/vtpm-guestd.rules $(GUEST)/lib/udev/rules.d/70-vtpm-guestd.rules
	@install -D -m 755 $(GUEST_FILES)/initramfs-hook $(GUEST)/share/initramfs-tools/hooks/vtpm-guestd
	@install -D -m 755 $(GUEST_FILES)/initramfs-script $(GUEST)/share/initramfs-tools/scripts/init-premount/vtpm-guestd
	@install -D -m 644 docs/man/vtpm-guestd.8 $(GUEST)/share/man/man8/vtpm-guestd.8

# Unit tests
$(eval $(call unit,guest_life,vtpm-stubdom/guest/life.c,))
$(eval $(call unit,guest_command,vtpm-stubdom/guest/command.c,))
$(eval $(call unit,guest_ring,$(GUESTD_PURE),))
$(eval $(call unit,guest_frozen,vtpm-stubdom/guest/frozen.c,))
$(eval $(call unit,guest_keeper,vtpm-stubdom/guest/keeper.c,-lseccomp))
$(eval $(call unit,guest_root,vtpm-stubdom/guest/root.c,-lseccomp))
$(eval $(call unit,guest_guestd,$(GUESTD_PURE) $(addprefix vtpm-stubdom/guest/,guestd.c bus.c freezer.c),))
$(eval $(call fuzzer,guest,$(GUESTD_PURE),))
