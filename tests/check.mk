# SPDX-License-Identifier: Apache-2.0
# The suites of `make check` that have no folder of their own: the unit tests
# again under sanitizers, the may-use rules, and `make lint`.

.PHONY: san
san:
	$(Q)mkdir -p $(O)/san
	$(Q)$(MAKE) --no-print-directory O=$(O)/san SAN=address,undefined unit >$(O)/san/log 2>&1; \
	status=$$?; sed 's/^unit:/san:/' $(O)/san/log; exit $$status

.PHONY: may-use
may-use: all
	$(Q)tests/may-use.sh $(O)

LINT_C := $(sort $(shell git ls-files 'agent/*.[ch]' 'bpf/*.[ch]' 'include/*.h' 'tools/*.[ch]' 'tests/*.[ch]'))
LINT_SH := $(sort $(shell git ls-files | while read -r f; do head -c 14 "$$f" 2>/dev/null | grep -qa '^\#!/bin/bash' && echo "$$f"; done))
LINT_MAN := $(sort $(shell git ls-files '*.[1-8]'))
ANALYZER_OBJ := $(filter-out $(O)/agent/parent/kernel.o,$(LIB_OBJ) $(ROLE_OBJ))

.PHONY: lint
lint: all
	$(Q)clang-format --dry-run -Werror $(LINT_C)
	$(Q)clang-tidy --quiet $(filter agent/%.c tools/%.c,$(LINT_C)) -- $(filter-out -fcf-protection -fstack-clash-protection,$(ZG_CFLAGS)) $(TEST_INC) -Itools/zerogate
	$(Q)$(MAKE) --no-print-directory O=$(O)/analyzer CFLAGS='$(CFLAGS) -fanalyzer -Werror' all
	$(Q)$(if $(LINT_MAN),mandoc -Tlint -Wwarning $(LINT_MAN))
	$(Q)for f in $(LINT_SH); do bash -n $$f || exit 1; done
	$(Q)! command -v shellcheck >/dev/null || shellcheck -S warning $(LINT_SH)
	@echo "lint: clean"
