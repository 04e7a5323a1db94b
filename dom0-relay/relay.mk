# dom0-relay/: vtpm-relayd and vtpmctl.

$(eval $(call unit,guest_machine,dom0-relay/guest_machine.c,))
# xenctrl.h wants GNU's anonymous structures.
$(OUT)/obj/dom0-relay/hypervisor.o $(OUT)/obj/tests/unit/test_hypervisor.o: ALL_CFLAGS += -std=gnu11
VTPMCTL_SRCS := $(addprefix dom0-relay/,vtpmctl.c list.c order.c state_export.c statedir.c statemsg.c ctlask.c doctor.c identity.c top.c show.c history.c guest_machine.c enroll.c kmcask.c kmcvchan.c xenstore.c host_identity.c host_tlskey.c host_tpm.c ctlmsg.c relayconf.c stub_image.c) $(SCHEMA_SRCS)
TSS_LIBS := -ltss2-esys -ltss2-sys -ltss2-mu -ltss2-tctildr -ltss2-rc
$(eval $(call program,vtpmctl,$(VTPMCTL_SRCS),$(COMMON_LIBS) $(TSS_LIBS) -ljansson -lxenstore -lxenvchan))

RELAYD_SRCS := $(addprefix dom0-relay/,relayd.c relay_process.c relay_vtpmctl.c watching.c moving.c moves.c relay_metrics.c relay.c relay_builder.c relay_stub.c spares.c named.c prepared.c retiring.c standin.c guests.c guest_machine.c stublink.c gracing.c grace.c keeping.c keeping_answers.c keeping_intents.c kept.c record_copy.c opening.c attesting.c certifying.c renewing.c identity.c statemsg.c statedir.c history.c noting.c state_process.c \
	credentials.c kmcvchan.c kmcwire.c kmclink.c control.c ctlmsg.c relaymsg.c relayconf.c host_tpm_process.c host_tpm.c host_seal.c host_identity.c host_tlskey.c builder_process.c stub_domain.c stub_image.c stub_records.c \
	hypervisor.c xenstore.c) $(SCHEMA_SRCS)
XEN_LIBS := -lxenlight -lxenctrl -lxenstore -lxenvchan -lxentoollog
$(eval $(call program,vtpm-relayd,$(RELAYD_SRCS),$(COMMON_LIBS) $(TSS_LIBS) $(XEN_LIBS)))

$(eval $(call unit,statedir,dom0-relay/statedir.c dom0-relay/statemsg.c,$(COMMON_LIBS)))
$(eval $(call unit,named,$(addprefix dom0-relay/,named.c prepared.c retiring.c) $(SCHEMA_SRCS),$(COMMON_LIBS)))
$(eval $(call unit,hypervisor,dom0-relay/hypervisor.c,$(COMMON_LIBS)))
$(eval $(call unit,xenstore,dom0-relay/xenstore.c $(SCHEMA_SRCS),$(COMMON_LIBS)))
$(eval $(call unit,adopting,$(addprefix dom0-relay/,relay.c guests.c guest_machine.c) $(SCHEMA_SRCS),$(COMMON_LIBS)))
$(eval $(call unit,history,dom0-relay/history.c dom0-relay/noting.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,history,dom0-relay/history.c,$(COMMON_LIBS)))
$(eval $(call unit,kmclink,$(addprefix dom0-relay/,kmclink.c relayconf.c),$(COMMON_LIBS)))
$(eval $(call unit,certifying,dom0-relay/certifying.c,$(COMMON_LIBS)))
$(eval $(call unit,renewing,$(addprefix dom0-relay/,renewing.c identity.c relayconf.c),$(COMMON_LIBS)))
$(foreach test,keeping keeping_moves keeping_parked keeping_verify,$(eval $(call unit,$(test),tests/unit/keeping_world.c $(addprefix dom0-relay/,keeping.c keeping_answers.c keeping_intents.c kept.c record_copy.c moves.c statemsg.c),$(COMMON_LIBS))))
$(eval $(call unit,doctor,$(addprefix dom0-relay/,doctor.c identity.c ctlask.c ctlmsg.c relayconf.c kmcvchan.c xenstore.c) $(SCHEMA_SRCS),$(COMMON_LIBS) -lxenstore -lxenvchan -ljansson))
$(eval $(call unit,top,$(addprefix dom0-relay/,top.c ctlask.c ctlmsg.c),$(COMMON_LIBS) -ljansson))
