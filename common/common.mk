# common/: what every program is linked against.

COMMON_SRCS := $(wildcard common/*.c)
$(OUT)/libcommon.a: $(patsubst %.c,$(OUT)/obj/%.o,$(COMMON_SRCS))
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^

COMMON_LIBS := -lcbor -lcrypto
$(eval $(call unit,buf,,$(COMMON_LIBS)))
$(eval $(call unit,secret,,$(COMMON_LIBS)))
$(eval $(call unit,uuid,,$(COMMON_LIBS)))
$(eval $(call unit,cbor,,$(COMMON_LIBS)))
$(eval $(call unit,msg,,$(COMMON_LIBS)))
