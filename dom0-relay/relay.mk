# dom0-relay/: vtpm-relayd and vtpmctl.

$(eval $(call unit,guest_machine,dom0-relay/guest_machine.c,))
