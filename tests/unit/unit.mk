# tests/unit/: unit tests of the relay's parts; those of the other directories stand in their own .mk files.

$(eval $(call unit,ctlmsg,dom0-relay/ctlmsg.c,$(COMMON_LIBS)))
$(eval $(call unit,relaymsg,dom0-relay/relaymsg.c dom0-relay/statemsg.c,$(COMMON_LIBS)))
$(eval $(call unit,stublink,dom0-relay/stublink.c,$(COMMON_LIBS)))
$(eval $(call unit,opening,dom0-relay/opening.c,$(COMMON_LIBS)))
$(eval $(call unit,relayconf,dom0-relay/relayconf.c,$(COMMON_LIBS)))
$(eval $(call unit,grace,dom0-relay/grace.c,$(COMMON_LIBS)))
$(eval $(call unit,guests,dom0-relay/guests.c dom0-relay/stublink.c,$(COMMON_LIBS)))
$(eval $(call unit,control,dom0-relay/control.c dom0-relay/ctlmsg.c,$(COMMON_LIBS)))
$(eval $(call unit,lease_model,kmc/lease.c,$(COMMON_LIBS)))
