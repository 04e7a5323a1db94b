# vtpm-stubdom/guest/: the guest package's daemon.

GUESTD_PURE := $(addprefix vtpm-stubdom/guest/,life.c command.c ring.c) vtpm-stubdom/tpmif.c
GUESTD_SRCS := $(GUESTD_PURE) $(addprefix vtpm-stubdom/guest/,main.c guestd.c bus.c bus_unix.c bus_xen.c keeper.c device.c) $(SCHEMA_SRCS)
GUESTD_LIBS := -lxengnttab -lxenevtchn -lxenstore -lseccomp
$(eval $(call program,vtpm-guestd,$(GUESTD_SRCS),$(GUESTD_LIBS)))

# Unit tests
$(eval $(call unit,guest_life,vtpm-stubdom/guest/life.c,))
$(eval $(call unit,guest_command,vtpm-stubdom/guest/command.c,))
$(eval $(call unit,guest_ring,$(GUESTD_PURE),))
$(eval $(call unit,guest_keeper,vtpm-stubdom/guest/keeper.c,-lseccomp))
