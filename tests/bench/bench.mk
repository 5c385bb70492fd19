# SPDX-License-Identifier: Apache-2.0
# make bench: all measurements in one run (root). Each tests/bench/<name>_bench.c
# becomes $(O)/bench/<name>_bench and prints its own table; BENCH_SECONDS is the
# length of one round of the call measurement.

BENCH_SRC := $(sort $(wildcard tests/bench/*_bench.c))
BENCH_BIN := $(patsubst tests/bench/%.c,$(O)/bench/%,$(BENCH_SRC))

$(O)/bench/%: tests/bench/%.c $(O)/libzg.a
	@mkdir -p $(@D)
	$(call say,BENCH,$@)$(CC) $(ZG_CFLAGS) $(TEST_INC) $(CFLAGS) -MMD -MP -MF $@.d -Wno-conversion $(ZG_LDFLAGS) $(LDFLAGS) -o $@ $< $(O)/libzg.a $(PKG_LIBS)

# it runs the ledger role as the unit tests do
$(O)/bench/approval_bench: PKG_LIBS += -lcmocka

.PHONY: bench
bench: all $(BENCH_BIN) $(O)/bench/policy_decide $(O)/bench/steady tests/e2e/node_modules/.zg-installed
	$(Q)ZG_BUILD=$(abspath $(O)) $(NODE) tests/bench/call.mjs
	$(Q)echo; ZG_BUILD=$(abspath $(O)) $(NODE) tests/bench/stream.mjs
	$(Q)echo; ZG_BUILD=$(abspath $(O)) $(NODE) tests/bench/dns.mjs
	$(Q)echo; ZG_BUILD=$(abspath $(O)) $(NODE) tests/bench/policy.mjs
	$(Q)set -e; for b in $(BENCH_BIN); do echo; $$b; done
