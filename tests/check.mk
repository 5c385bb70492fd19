# SPDX-License-Identifier: Apache-2.0
# The suites of `make check` that have no folder of their own: the unit tests
# again under sanitizers, the may-use rules, what is written, and `make lint`.

.PHONY: san
san:
	$(Q)mkdir -p $(O)/san
	$(Q)$(MAKE) --no-print-directory O=$(O)/san SAN=address,undefined unit >$(O)/san/log 2>&1; \
	status=$$?; sed 's/^unit:/san:/' $(O)/san/log; exit $$status

.PHONY: may-use
may-use: all
	$(Q)tests/may-use.sh $(O)

.PHONY: docs
docs: all
	$(Q)tests/docs.sh $(O)

CHECKS += docs

LINT_C := $(sort $(shell git ls-files 'agent/*.[ch]' 'bpf/*.[ch]' 'include/*.h' 'tools/*.[ch]' 'tests/*.[ch]'))
LINT_SH := $(sort $(shell git ls-files | while read -r f; do head -c 14 "$$f" 2>/dev/null | grep -qa '^\#!/bin/bash' && echo "$$f"; done))
LINT_MAN := $(sort $(shell git ls-files '*.[1-8]'))

TIDY_C := $(filter agent/%.c tools/%.c,$(LINT_C))
TIDY_FLAGS := $(filter-out -fcf-protection -fstack-clash-protection,$(ZG_CFLAGS)) $(TEST_INC) -Itools/zerogate

.PHONY: lint lint-format lint-tidy lint-analyzer lint-man lint-shell
lint: lint-format lint-man lint-shell lint-tidy lint-analyzer
	@echo "lint: clean"

lint-format:
	$(Q)clang-format --dry-run -Werror $(LINT_C)

lint-tidy: export TIDY = $(TIDY_FLAGS)
lint-tidy: all
	$(Q)printf '%s\n' $(TIDY_C) | xargs -P 2 -n 4 sh -c 'eval "clang-tidy --quiet \"\$$@\" -- $$TIDY" 2>/dev/null' sh

# The analyzer of gcc 12 is made for C; what it cannot follow is justified in place.
lint-analyzer:
	$(Q)$(MAKE) --no-print-directory O=$(O)/analyzer WERROR=1 CFLAGS='$(CFLAGS) -fanalyzer' all

lint-man:
	$(Q)$(if $(LINT_MAN),mandoc -Tlint -Wwarning $(LINT_MAN))

lint-shell:
	$(Q)for f in $(LINT_SH); do bash -n $$f || exit 1; done
	$(Q)! command -v shellcheck >/dev/null || shellcheck -S warning $(LINT_SH)
