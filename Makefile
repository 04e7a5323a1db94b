# Builds, tests and shows the Xen vTPM manager. `make help` lists the targets.

VARIANT ?= release
WERROR ?= 0
CC ?= gcc
PYTHON ?= python3
OUT := build/$(VARIANT)
BIN := $(OUT)/bin
PREFIX ?= /usr
DESTDIR ?=

HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wundef -Wimplicit-fallthrough -Wnull-dereference
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=c11 $(CFLAGS) $(HARDEN) $(WARN) -ffunction-sections -fdata-sections -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections

ifeq ($(WERROR),1)
WARN += -Werror
endif
ifeq ($(VARIANT),release)
# the same bytes wherever it is built
CPPFLAGS += -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$(CURDIR)=.
else ifeq ($(VARIANT),asan)
CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),fuzz)
CC := clang
# clang 14 has no zero; a pattern also shows what reads too far
HARDEN := $(subst var-init=zero,var-init=pattern,$(HARDEN))
WARN := -Wall -Wextra
CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),coverage)
CFLAGS := -O0 -g --coverage
LDFLAGS += --coverage
else
$(error VARIANT=$(VARIANT): use release, asan, fuzz or coverage)
endif

.DEFAULT_GOAL := all
PROGRAMS :=
UNIT_TESTS :=
FUZZERS :=

# program NAME, SOURCES, LIBRARIES: a binary in $(BIN) linked against common/
define program
PROGRAMS += $(1)
$(BIN)/$(1): $$(patsubst %.c,$(OUT)/obj/%.o,$(2)) $(OUT)/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $(3)
endef

# unit NAME, EXTRA SOURCES, LIBRARIES: tests/unit/test_NAME.c as a cmocka program
define unit
UNIT_TESTS += $(OUT)/tests/test_$(1)
$(OUT)/tests/test_$(1): $(OUT)/obj/tests/unit/test_$(1).o $$(patsubst %.c,$(OUT)/obj/%.o,$(2)) $(OUT)/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $(3) -lcmocka
endef

# fuzzer NAME, EXTRA SOURCES, LIBRARIES: tests/fuzz/fuzz_NAME.c as a libFuzzer program (VARIANT=fuzz)
define fuzzer
FUZZERS += $(OUT)/fuzz/fuzz_$(1)
$(OUT)/fuzz/fuzz_$(1): $(OUT)/obj/tests/fuzz/fuzz_$(1).o $$(patsubst %.c,$(OUT)/obj/%.o,$(2)) $(OUT)/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $(3)
endef

include common/common.mk
include xenstore-schema/schema.mk
-include kmc/kmc.mk
-include vtpm-stubdom/stubdom.mk
-include vtpm-stubdom/guest/guest.mk
-include dom0-relay/relay.mk
include vtpm-stubdom/image/image.mk
include packaging/packaging.mk
-include tests/xenlab/lab.mk
include tests/tests.mk

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

.PHONY: all deps clean help
all: $(addprefix $(BIN)/,$(PROGRAMS))

deps: ## install the Debian packages that building and testing need (root)
	@packaging/install-deps

clean: ## remove what was compiled; keep cached kernels and images
	rm -rf build/release build/asan build/fuzz build/coverage

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile */*.mk tests/*/*.mk 2>/dev/null | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
