# The stub domain's image: build/stub/{vmlinux,initramfs.img}.

STUB_DIR := build/stub

.PHONY: image
image: $(STUB_DIR)/initramfs.img ## build the stub domain's kernel and initramfs

$(STUB_DIR)/initramfs.img: $(BIN)/vtpm-stubdom $(wildcard vtpm-stubdom/image/*)
	@vtpm-stubdom/image/build-image $(STUB_DIR) $<
