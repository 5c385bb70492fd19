# SPDX-License-Identifier: Apache-2.0
# make bypass: every way around the gate, tried by real processes (root). The
# binary stands alone: it needs no Node, no systemd and no network, and runs in
# a machine that has nothing else (tests/vm).

BYPASS_SRC := $(sort $(wildcard tests/bypass/*.c))
BYPASS_OBJ := $(BYPASS_SRC:%.c=$(O)/%.o)

$(O)/tests/bypass/%.o: tests/bypass/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ZG_CFLAGS) $(TEST_INC) -Itests/unit/parent -Itests/bypass $(CFLAGS) -Wno-conversion -MMD -MP -c -o $@ $<

$(O)/tests/bypass/bypass: $(BYPASS_OBJ) $(O)/libzg.a
	$(call say,LINK,$@)$(CC) $(ZG_LDFLAGS) $(LDFLAGS) -o $@.tmp $^ $(PKG_LIBS) -lcmocka -lpthread && mv $@.tmp $@

.PHONY: bypass
bypass: $(O)/tests/bypass/bypass
	$(Q)$< --table >$(O)/tests/bypass/table
	$(Q)sed -n '/^| technique | stopped by/,/^$$/{/^$$/d;p}' SECURITY.md | diff - $(O)/tests/bypass/table || \
		{ echo "SECURITY.md: not the table of include/tbl/bypass.h" >&2; exit 1; }
	$(Q)$<

CHECKS += bypass

# make chaos: everything happens to the agent, for CHAOS_SECONDS.
CHAOS_SECONDS ?= 20

.PHONY: chaos
chaos: all tests/e2e/node_modules/.zg-installed
	$(Q)ZG_BUILD=$(abspath $(O)) CHAOS_SECONDS=$(CHAOS_SECONDS) tests/e2e/node --test --test-reporter=spec tests/bypass/chaos.mjs

CHECKS += chaos
