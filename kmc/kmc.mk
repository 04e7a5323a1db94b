# kmc/: kmcd and kmcctl.

KMC_TSS_LIBS := -ltss2-esys -ltss2-mu -ltss2-tctildr -ltss2-rc
KMC_CRYPTO_SRCS := $(addprefix kmc/,drbg.c seed.c wrap.c rsakey.c cleanheap.c ca.c kmctpm.c kmctpm_move.c keyring.c keyring_wrapping.c vault.c vault_move.c movefile.c ekissue.c kmcconf.c address.c)
KMC_EK_SRCS := $(addprefix vtpm-stubdom/,derive.c endorsement.c engine_libtpms.c blob.c tpmif.c)
KMC_STORE_SRCS := $(addprefix kmc/,audit.c auditlog.c store.c store_schema.c store_statements.c store_row.c store_hosts.c store_hostcerts.c store_authorities.c store_identities.c store_keys.c store_vtpms.c store_states.c store_audit.c store_wrapping.c store_rows.c store_sqlite.c store_pgsql.c)
KMC_STORE_LIBS := -lsqlite3 -lpq
KMCD_SRCS := $(addprefix kmc/,kmcd.c store_open.c front.c conn.c turns.c admission.c engine_process.c engine_metrics.c engine_admin.c engine_audit.c engine_states.c engine_images.c engine_requests.c engine_open.c engine_grant.c engine_lease.c engine_session.c engine_park.c engine_attest.c engine_certify.c engine_check.c engine_share.c engine_life.c engine_server.c engine_renew.c engine_ca.c engine_ca_admin.c authorities.c hostcert.c engine_enrol.c engine_policy.c engine.c repeats.c replays.c clock.c attest.c quote.c ekcert.c \
	admin.c admmsg.c lease.c vault_wrapping.c vault_process.c keeper.c keymaker.c ekmaker.c procmsg.c) $(KMC_CRYPTO_SRCS) $(KMC_STORE_SRCS) $(KMC_EK_SRCS)
KMCD_SRCS += $(addprefix kmc/,engine_replica.c engine_rewrap.c engine_wrapping.c engine_keys.c engine_export.c engine_import.c)
KMC_LIBS := $(COMMON_LIBS) $(KMC_TSS_LIBS) $(KMC_STORE_LIBS)

$(eval $(call program,kmcd,$(KMCD_SRCS),$(KMC_LIBS) -ltpms))
KMCCTL_SRCS := $(addprefix kmc/,kmcctl.c ctl_options.c ctl_commands_kmc.c ctl_commands_host.c ctl_commands_vtpm.c ctl_commands_key.c ctl_commands_audit.c ctl_check.c store_open.c ctl_client.c ctl_init.c ctl_replica.c ctl_recovery.c ctl_backup.c store_copy.c lease.c shares.c keyfile.c ekcert.c quote.c ctl_host.c ctl_show.c ctl_trust.c ctl_audit.c ctl_audit_show.c ctl_ca.c ctl_authority.c ctl_server.c ctl_life.c ctl_move.c movefile.c ctl_wrapping.c admmsg.c keyring.c keyring_wrapping.c kmctpm.c kmctpm_move.c ca.c wrap.c cleanheap.c \
	kmcconf.c address.c) $(KMC_STORE_SRCS)
$(eval $(call program,kmcctl,$(KMCCTL_SRCS),$(KMC_LIBS) -ljansson -lgfshare))

FORWARD_SRCS := $(addprefix kmc/,vchan_forward.c forwarder.c passage.c offers.c address.c) $(SCHEMA_SRCS)
$(eval $(call program,vtpm-vchan-forward,$(FORWARD_SRCS),$(COMMON_LIBS) -lxenstore -lxenvchan))
$(eval $(call unit,passage,kmc/passage.c kmc/forwarder.c,$(COMMON_LIBS)))

$(eval $(call unit,lease,kmc/lease.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_seed,kmc/seed.c kmc/drbg.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_crypto,kmc/wrap.c kmc/rsakey.c kmc/ca.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_ek,kmc/ekmaker.c kmc/procmsg.c kmc/kmcconf.c kmc/address.c kmc/cleanheap.c kmc/ekissue.c kmc/ca.c $(KMC_EK_SRCS),$(COMMON_LIBS) -ltpms))
$(foreach test,kmc_store kmc_store_hosts kmc_store_vtpms,$(eval $(call unit,$(test),tests/unit/kmc_store.c $(KMC_STORE_SRCS),$(COMMON_LIBS) $(KMC_STORE_LIBS))))
$(eval $(call unit,kmc_audit,$(KMC_STORE_SRCS) kmc/ca.c,$(COMMON_LIBS) $(KMC_STORE_LIBS)))
$(foreach test,kmc_tpm kmc_tpm_tools vault,$(eval $(call unit,$(test),tests/unit/tpms.c $(filter-out kmc/cleanheap.c,$(KMC_CRYPTO_SRCS)) vtpm-stubdom/derive.c,$(KMC_LIBS))))
$(eval $(call unit,vault_wrapping,kmc/vault_wrapping.c kmc/procmsg.c $(filter-out kmc/vault.c kmc/cleanheap.c,$(KMC_CRYPTO_SRCS)),$(KMC_LIBS)))
$(eval $(call unit,authorities,kmc/authorities.c kmc/ca.c,$(COMMON_LIBS)))
$(eval $(call unit,hostcert,kmc/hostcert.c kmc/ca.c,$(COMMON_LIBS)))
$(eval $(call unit,movefile,kmc/movefile.c kmc/ca.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_engine,$(filter-out kmc/kmcd.c kmc/engine_process.c,$(KMCD_SRCS)),$(KMC_LIBS) -ltpms))
$(eval $(call unit,kmc_repeats,kmc/repeats.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_clock,kmc/clock.c kmc/replays.c,$(COMMON_LIBS)))
$(eval $(call unit,shares,kmc/shares.c,$(COMMON_LIBS) -lgfshare))
$(eval $(call unit,kmc_front,kmc/address.c kmc/admission.c kmc/kmcconf.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_turns,kmc/turns.c,$(COMMON_LIBS)))
$(eval $(call unit,kmc_cddl,,$(COMMON_LIBS)))

$(eval $(call fuzzer,kmcmsg,kmc/admmsg.c kmc/procmsg.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,kmc_audit,kmc/audit.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,movefile,kmc/movefile.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,kmc_address,kmc/address.c,$(COMMON_LIBS)))
$(eval $(call fuzzer,kmc_keys,kmc/ca.c kmc/rsakey.c kmc/wrap.c,$(COMMON_LIBS)))
ATTEST_SRCS := kmc/attest.c kmc/quote.c kmc/ekcert.c
$(eval $(call unit,attest,$(ATTEST_SRCS) kmc/ctl_trust.c kmc/ctl_client.c kmc/admmsg.c,$(COMMON_LIBS) -ljansson))
$(eval $(call fuzzer,quote,$(ATTEST_SRCS),$(COMMON_LIBS)))
$(eval $(call fuzzer,enrol,$(ATTEST_SRCS),$(COMMON_LIBS)))
