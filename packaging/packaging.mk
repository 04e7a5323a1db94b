# packaging/: putting everything where an administrator expects it.

SBIN := $(DESTDIR)$(PREFIX)/sbin
LIB := $(DESTDIR)$(PREFIX)/lib
EXAMPLES := $(DESTDIR)$(PREFIX)/share/doc/xen-vtpm/examples

.PHONY: install
install: all image ## install programs, image, units and examples below DESTDIR
	@install -d $(SBIN) $(LIB)/xen-vtpm $(LIB)/systemd/system $(LIB)/sysusers.d $(LIB)/tmpfiles.d $(EXAMPLES)
	@install -m 755 $(filter-out $(BIN)/vtpm-stubdom $(BIN)/vtpm-guestd,$(addprefix $(BIN)/,$(PROGRAMS))) $(SBIN)
	@install -m 644 $(STUB_DIR)/vmlinux $(STUB_DIR)/initramfs.img $(LIB)/xen-vtpm
	@install -m 644 $(wildcard packaging/*.service) $(LIB)/systemd/system
	@install -m 644 packaging/sysusers.conf $(LIB)/sysusers.d/xen-vtpm.conf
	@install -m 644 packaging/tmpfiles.conf $(LIB)/tmpfiles.d/xen-vtpm.conf
	@install -m 644 packaging/relay.conf packaging/kmc.conf $(EXAMPLES)
	@$(MAKE) -s install-guest DESTDIR=$(DESTDIR)$(PREFIX)/share/xen-vtpm/guest PREFIX=/usr
	@echo "  installed below $(DESTDIR)$(PREFIX); examples of configuration are in $(EXAMPLES)"
