# SPDX-License-Identifier: Apache-2.0
# zerogate - one non-recursive Makefile.
#
#   make            build/zerogated and build/zerogate
#   make check      all tests (root: kernel, end-to-end and systemd tests too)
#   make demo       the main job, shown on real parts (root)
#   make bench      measurements, side by side in one run (root)
#   make lint       clang-format, clang-tidy, gcc -fanalyzer, man pages
#   make install    DESTDIR= PREFIX= SYSCONF= SYSTEMD=
#
# O=DIR builds elsewhere, V=1 shows commands, SAN=address,undefined adds
# sanitizers, WERROR=1 makes warnings errors. CFLAGS and LDFLAGS are appended.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

O       ?= build
PREFIX  ?= /usr/local
SYSTEMD ?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr/lib/systemd/system,$(PREFIX)/lib/systemd/system)
VERSION := 0.1.0
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= $(firstword $(foreach v,clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14,$(shell command -v $(v))) clang)
BPFTOOL ?= $(firstword $(wildcard /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool /usr/sbin/bpftool) bpftool)
PKGCONF ?= pkg-config
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

# --- what may use what --------------------------------------------------------
# A folder sees only the headers of the folders named here; tests/may-use.sh
# checks the symbols of the objects as well.
uses_base    :=
uses_policy  := base
uses_scan    := base
uses_config  := base policy scan
uses_parent  := base
uses_gateway := base policy scan
uses_ledger  := base
uses_canary  := base
uses_resolver := base
uses_main    := base parent gateway ledger resolver config canary
uses_cli     := base policy scan config

# Debian package names of the libraries stand in tools/install-deps.
PKGS := libbpf libelf zlib jansson libnl-3.0 libevent libevent_openssl libcurl yaml-0.1 libssl libcrypto \
        libhs sqlite3 libseccomp libsystemd libpcre2-8 ldns
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
PKG_CFLAGS := $(shell $(PKGCONF) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKGCONF) --libs $(PKGS) 2>/dev/null)
endif

WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
        -Wformat=2 -Wundef -Wconversion -Wswitch-enum -Wno-missing-field-initializers
HARDEN := -fstack-protector-strong -fPIE \
        $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) \
        $(if $(findstring clang,$(CC)),,-fstack-clash-protection -fcf-protection)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
ZG_CFLAGS := -std=gnu17 -O2 -g $(WARN) $(if $(WERROR),-Werror) $(HARDEN) $(SANFLAGS) \
        -D_GNU_SOURCE -DZG_VERSION='"$(VERSION)"' -include agent/base/banned.h $(PKG_CFLAGS)
ZG_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANFLAGS)

src = $(sort $(wildcard agent/$(1)/*.c))
obj = $(patsubst %.c,$(O)/%.o,$(1))
inc = -Iinclude $(foreach d,$(1) $(uses_$(1)),-Iagent/$(d))

BASE := $(call src,base)
LIB_DIRS := base policy scan config
ROLE_DIRS := parent gateway ledger resolver canary
LIB_OBJ  := $(call obj,$(foreach d,$(LIB_DIRS),$(call src,$(d))))
ROLE_OBJ := $(call obj,$(foreach d,$(ROLE_DIRS),$(call src,$(d))))
MAIN_OBJ := $(call obj,agent/main.c)
CLI_OBJ  := $(call obj,$(sort $(wildcard tools/zerogate/*.c)))

.PHONY: all
all: $(O)/zerogated $(O)/zerogate

$(O)/zerogated: $(MAIN_OBJ) $(ROLE_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)$(CC) $(ZG_LDFLAGS) $(LDFLAGS) -o $@.tmp $^ $(PKG_LIBS) && mv $@.tmp $@

$(O)/zerogate: $(CLI_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)$(CC) $(ZG_LDFLAGS) $(LDFLAGS) -o $@.tmp $^ $(PKG_LIBS) && mv $@.tmp $@

define folder_rule
$$(O)/agent/$(1)/%.o: agent/$(1)/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$$(CC) $$(ZG_CFLAGS) $$(call inc,$(1)) $$(inc_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach d,$(LIB_DIRS) $(ROLE_DIRS),$(eval $(call folder_rule,$(d))))

$(O)/agent/main.o: agent/main.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ZG_CFLAGS) -Iinclude $(foreach d,$(uses_main),-Iagent/$(d)) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tools/zerogate/%.o: tools/zerogate/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ZG_CFLAGS) -Iinclude -Itools/zerogate $(foreach d,$(uses_cli),-Iagent/$(d)) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- the kernel gate ------------------------------------------------------------
BPF_SRC  := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ  := $(patsubst bpf/%.bpf.c,$(O)/bpf/%.bpf.o,$(BPF_SRC))
.SECONDARY: $(BPF_OBJ)
BPF_SKEL := $(patsubst bpf/%.bpf.c,$(O)/skel/%.skel.h,$(BPF_SRC))
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Wno-missing-declarations \
        -Wno-unused-parameter $(if $(WERROR),-Werror) -Iinclude -Ibpf \
        -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/skel/%.skel.h: $(O)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name zg_$* > $@.tmp && mv $@.tmp $@

inc_parent := -I$(O)/skel
$(call obj,$(wildcard agent/parent/kernel*.c)): $(BPF_SKEL)

# --- tests ------------------------------------------------------------------------
# tests/unit/<path>_test.c -> one cmocka binary each, linked with everything but main.
UNIT_SRC := $(sort $(shell find tests/unit -name '*_test.c' 2>/dev/null))
UNIT_BIN := $(patsubst tests/%.c,$(O)/tests/%,$(UNIT_SRC))
TEST_INC := -Iinclude -Itests/unit $(foreach d,$(LIB_DIRS) $(ROLE_DIRS),-Iagent/$(d)) -I$(O)/skel

$(O)/libzg.a: $(LIB_OBJ) $(ROLE_OBJ)
	$(call say,AR,$@)rm -f $@.tmp && ar rcs $@.tmp $^ && mv $@.tmp $@

$(O)/tests/unit/%_test: tests/unit/%_test.c $(O)/libzg.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ZG_CFLAGS) $(TEST_INC) $(CFLAGS) -MMD -MP -MF $@.d -Wno-conversion $(ZG_LDFLAGS) $(LDFLAGS) -o $@ $< $(O)/libzg.a $(PKG_LIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_BIN)
	$(Q)tests/run-unit $(UNIT_BIN)

# Whatever each area of tests brings (tests/e2e/e2e.mk, ...): rules, and its name in CHECKS.
-include $(sort $(wildcard tests/*.mk tests/*/*.mk))

# On a bare machine nothing can be built before the first line has run.
.PHONY: check
check:
	$(Q)tools/install-deps
	+$(Q)tests/check $(O)/check all unit san may-use $(CHECKS)

# --- install --------------------------------------------------------------------
# DESTDIR for packages. What stands in SYSCONF is the administrator's: it is
# never overwritten.
SYSCONF ?= /etc
INSTALL ?= install
UNIT_SED = -e 's|@sbindir@|$(PREFIX)/sbin|g; s|@bindir@|$(PREFIX)/bin|g; s|@sysconfdir@|$(SYSCONF)|g'
CONF     = $(DESTDIR)$(SYSCONF)/zerogate

.PHONY: install
install: all
	$(INSTALL) -D -m 755 $(O)/zerogated $(DESTDIR)$(PREFIX)/sbin/zerogated
	$(INSTALL) -D -m 755 $(O)/zerogate $(DESTDIR)$(PREFIX)/bin/zerogate
	$(INSTALL) -D -m 644 agent/zerogated.8 $(DESTDIR)$(PREFIX)/share/man/man8/zerogated.8
	$(INSTALL) -D -m 644 tools/zerogate/zerogate.1 $(DESTDIR)$(PREFIX)/share/man/man1/zerogate.1
	$(INSTALL) -D -m 644 agent/policy/zerogate-policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/zerogate-policy.5
	$(INSTALL) -D -m 644 agent/config/zerogate.yaml.5 $(DESTDIR)$(PREFIX)/share/man/man5/zerogate.yaml.5
	$(INSTALL) -D -m 644 agent/ledger/zerogate-audit.5 $(DESTDIR)$(PREFIX)/share/man/man5/zerogate-audit.5
	$(INSTALL) -D -m 644 agent/zerogate.slice $(DESTDIR)$(SYSTEMD)/zerogate.slice
	sed $(UNIT_SED) agent/zerogate.service.in > $(O)/zerogate.service.tmp
	$(INSTALL) -m 644 $(O)/zerogate.service.tmp $(DESTDIR)$(SYSTEMD)/zerogate.service
	$(INSTALL) -D -m 644 agent/zerogate.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/zerogate.conf
	$(INSTALL) -D -m 644 agent/zerogate.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/zerogate.conf
	$(INSTALL) -d -m 755 $(CONF) $(CONF)/policies $(CONF)/servers
	test -e $(CONF)/zerogate.yaml || $(INSTALL) -m 644 policies/zerogate.yaml $(CONF)/zerogate.yaml
	for f in policies/default/*.yaml; do \
		test -e $(CONF)/policies/$${f##*/} || $(INSTALL) -m 644 $$f $(CONF)/policies/$${f##*/} || exit 1; \
	done

.PHONY: clean
clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
