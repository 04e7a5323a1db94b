# common/: what every program is linked against.

COMMON_SRCS := $(wildcard common/*.c)
$(OUT)/libcommon.a: $(patsubst %.c,$(OUT)/obj/%.o,$(COMMON_SRCS))
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^

COMMON_LIBS := -linih -levent_core -lseccomp -lssl -lcrypto
$(eval $(call unit,buf,,$(COMMON_LIBS)))
$(eval $(call unit,secret,,$(COMMON_LIBS)))
$(eval $(call unit,uuid,,$(COMMON_LIBS)))
$(eval $(call unit,text,,$(COMMON_LIBS)))
$(eval $(call unit,log,,$(COMMON_LIBS)))
$(eval $(call unit,vchan_name,,$(COMMON_LIBS)))
$(eval $(call unit,cbor,,$(COMMON_LIBS)))
$(eval $(call unit,msg,,$(COMMON_LIBS)))
$(eval $(call unit,loop,,$(COMMON_LIBS)))
$(eval $(call unit,confine,,$(COMMON_LIBS)))
$(eval $(call unit,watchdog,,$(COMMON_LIBS)))
$(eval $(call unit,metrics,,$(COMMON_LIBS)))
$(eval $(call unit,privsep,,$(COMMON_LIBS)))
$(eval $(call unit,config,,$(COMMON_LIBS)))
$(foreach test,tls tls_channel tls_signer,$(eval $(call unit,$(test),tests/unit/meeting.c,$(COMMON_LIBS))))
$(eval $(call unit,envelope,,$(COMMON_LIBS)))
$(eval $(call unit,token,,$(COMMON_LIBS)))
$(eval $(call unit,eckey,,$(COMMON_LIBS)))
$(eval $(call unit,origin,,$(COMMON_LIBS)))
$(eval $(call unit,statefile,,$(COMMON_LIBS)))
$(eval $(call unit,handoff,,$(COMMON_LIBS)))
$(eval $(call unit,kmcmsg,,$(COMMON_LIBS)))
$(eval $(call unit,channel_unix,,$(COMMON_LIBS)))
