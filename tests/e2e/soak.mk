# SPDX-License-Identifier: Apache-2.0
# make soak: many open sessions, many clients, workers killed at random (root).
#   SOAK_SECONDS (300)  SOAK_SESSIONS (10000)  SOAK_CLIENTS (200)

.PHONY: soak
soak: all $(E2E_DEPS)
	$(Q)ZG_REQUIRE=1 ZG_BUILD=$(abspath $(O)) SOAK_SECONDS=$${SOAK_SECONDS:-300} SOAK_SESSIONS=$${SOAK_SESSIONS:-10000} \
	    SOAK_CLIENTS=$${SOAK_CLIENTS:-200} $(NODE) --test --test-reporter=spec tests/e2e/soak.test.mjs
