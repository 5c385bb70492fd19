# SPDX-License-Identifier: Apache-2.0
# make e2e: the whole agent between the official SDKs' clients and servers.
# make demo: the main job, shown step by step (needs root).

NODE := tests/e2e/node

# Marks what package-lock.json was installed; the folder itself is git-ignored.
E2E_DEPS := tests/e2e/node_modules/.zg-installed

$(E2E_DEPS): tests/e2e/package-lock.json
	$(call say,NPM,tests/e2e)! grep -n '"resolved"' $< || { echo "$<: no download addresses, please" >&2; exit 1; }
	$(Q)cd tests/e2e && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.zg-installed

# A failed test may leave a socket open; force-exit keeps it from holding up the rest.
.PHONY: e2e
e2e: all $(E2E_DEPS)
	$(Q)ZG_BUILD=$(abspath $(O)) $(NODE) --test --test-force-exit --test-concurrency=2 --test-reporter=spec $(sort $(wildcard tests/e2e/*.test.mjs))

.PHONY: demo
demo:
	$(Q)tools/demo $(O)

CHECKS += e2e
