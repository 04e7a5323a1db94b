# dom0-relay/: vtpm-relayd and vtpmctl.

$(eval $(call unit,guest_machine,dom0-relay/guest_machine.c,))
# xenctrl.h wants GNU's anonymous structures.
$(OUT)/obj/dom0-relay/hypervisor.o: ALL_CFLAGS += -std=gnu11
$(eval $(call program,vtpmctl,dom0-relay/vtpmctl.c dom0-relay/ctlmsg.c dom0-relay/relayconf.c,$(COMMON_LIBS) -ljansson))
