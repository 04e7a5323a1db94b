# packaging/: putting everything where an administrator expects it, and Debian packages of it.

PREFIXED := $(DESTDIR)$(PREFIX)
UNITS ?= $(PREFIX)/lib/systemd/system

# man pages of a part: docs/man/NAME.SECTION
MAN_dom0 := $(wildcard $(addprefix docs/man/,vtpmctl.* vtpm-relayd.* relay.conf.*))
MAN_kmc := $(wildcard $(addprefix docs/man/,kmcd.* kmcctl.* kmc.conf.*))
MAN_forward := docs/man/vtpm-vchan-forward.8
MAN_doc := $(wildcard docs/man/*.7)

# install_files MODE, FILES, DIRECTORY below DESTDIR: nothing where there are no files
define install_files
	@$(if $(2),install -d $(DESTDIR)$(3) && install -m $(1) $(2) $(DESTDIR)$(3))
endef

# install_man FILES: each into its section
define install_man
	@for page in $(1); do install -D -m 644 "$$page" "$(PREFIXED)/share/man/man$${page##*.}/$${page##*/}" || exit 1; done
endef

# install_host PACKAGE, PROGRAMS, CONFIGURATION, UNIT: what the packages of dom0 and of the KMC have in common
define install_host
	$(call install_files,755,$(addprefix $(BIN)/,$(2)),$(PREFIX)/sbin)
	$(call install_files,644,packaging/$(3),$(PREFIX)/share/doc/xen-vtpm-$(1)/examples)
	$(call install_files,644,packaging/$(4),$(UNITS))
	@install -D -m 644 packaging/xen-vtpm-$(1).sysusers $(PREFIXED)/lib/sysusers.d/xen-vtpm-$(1).conf
	@install -d $(DESTDIR)/etc/xen-vtpm
	@for program in $(2); do \
		[ ! -e packaging/$$program.bash ] || install -D -m 644 packaging/$$program.bash $(PREFIXED)/share/bash-completion/completions/$$program || exit 1; \
		[ ! -e packaging/apparmor/usr.sbin.$$program ] || install -D -m 644 packaging/apparmor/usr.sbin.$$program $(DESTDIR)/etc/apparmor.d/usr.sbin.$$program || exit 1; \
	done
	$(call install_man,$(MAN_$(1)))
endef

.PHONY: install install-dom0 install-kmc install-forward install-doc deb
install: install-dom0 install-kmc install-forward install-doc ## install programs, image, units and examples below DESTDIR
	@$(MAKE) -s install-guest DESTDIR=$(DESTDIR)$(PREFIX)/share/xen-vtpm/guest PREFIX=/usr
	@echo "  installed below $(PREFIXED); examples of configuration are in share/doc/xen-vtpm-*/examples there"

install-dom0: all image ## install what a Xen host needs below DESTDIR
	$(call install_host,dom0,vtpm-relayd vtpmctl,relay.conf,vtpm-relayd.service)
	$(call install_files,644,$(STUB_DIR)/vmlinux $(STUB_DIR)/initramfs.img,$(PREFIX)/lib/xen-vtpm)
	@install -D -m 644 packaging/xen-vtpm-dom0.tmpfiles $(PREFIXED)/lib/tmpfiles.d/xen-vtpm-dom0.conf

install-kmc: all ## install what the KMC's machine needs below DESTDIR
	$(call install_host,kmc,kmcd kmcctl,kmc.conf,kmcd.service)

install-forward: all ## install what a domain between dom0 and the KMC needs below DESTDIR
	$(call install_files,755,$(BIN)/vtpm-vchan-forward,$(PREFIX)/sbin)
	$(call install_files,644,packaging/vtpm-vchan-forward.service,$(UNITS))
	@install -D -m 644 packaging/apparmor/usr.sbin.vtpm-vchan-forward $(DESTDIR)/etc/apparmor.d/usr.sbin.vtpm-vchan-forward
	@install -D -m 644 packaging/xen-vtpm-forward.sysusers $(PREFIXED)/lib/sysusers.d/xen-vtpm-forward.conf
	@install -D -m 644 packaging/xen-vtpm-forward.modules $(PREFIXED)/lib/modules-load.d/xen-vtpm-forward.conf
	$(call install_man,$(MAN_forward))

install-doc: ## install the documents below DESTDIR
	$(call install_files,644,README.md $(wildcard CHANGELOG.md SECURITY.md docs/*.md docs/*.cddl docs/*.svg packaging/grafana.json),$(PREFIX)/share/doc/xen-vtpm-doc)
	$(call install_files,644,$(wildcard docs/models/*),$(PREFIX)/share/doc/xen-vtpm-doc/models)
	$(call install_files,644,xenstore-schema/SCHEMA.md,$(PREFIX)/share/doc/xen-vtpm-doc)
	$(call install_man,$(MAN_doc))

deb: ## build the Debian packages and read them with lintian: build/deb/*.deb
	@packaging/build-deb
