# SPDX-License-Identifier: Apache-2.0
# make fuzz: each tests/fuzz/<name>_fuzz.c as a libFuzzer binary under ASan and
# UBSan, with objects of its own below $(O)/fuzz, run for FUZZ_SECONDS each on a
# copy of tests/fuzz/corpus/<name> (the tree is never written to).

FUZZ_SECONDS ?= 10
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(FUZZ_SRC))
FUZZ_OBJ := $(patsubst $(O)/%,$(O)/fuzz/%,$(LIB_OBJ) $(ROLE_OBJ))
# gcc has judged these sources already: clang's own ideas are not errors here.
FUZZ_CFLAGS := $(filter-out -Werror -fstack-clash-protection -fcf-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2,$(ZG_CFLAGS)) \
        -w -g -O1 $(FUZZ_SAN)

define fuzz_folder_rule
$$(O)/fuzz/agent/$(1)/%.o: agent/$(1)/%.c
	@mkdir -p $$(@D)
	$$(call say,FUZZCC,$$<)$$(CLANG) $$(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $$(call inc,$(1)) $$(inc_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach d,$(LIB_DIRS) $(ROLE_DIRS),$(eval $(call fuzz_folder_rule,$(d))))
$(filter $(O)/fuzz/agent/parent/kernel%,$(FUZZ_OBJ)): $(BPF_SKEL)

# An archive: a target links what it uses, and no more.
$(O)/fuzz/libzg.a: $(FUZZ_OBJ)
	$(call say,AR,$@)rm -f $@.tmp && ar rcs $@.tmp $^ && mv $@.tmp $@

$(O)/fuzz/%_fuzz: tests/fuzz/%_fuzz.c $(O)/fuzz/libzg.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CLANG) $(FUZZ_CFLAGS) -Wno-conversion -Wno-missing-prototypes -fsanitize=fuzzer $(TEST_INC) $(CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(O)/fuzz/libzg.a $(LDFLAGS) $(PKG_LIBS)

.PHONY: fuzz
fuzz: $(FUZZ_BIN)
	$(Q)tests/fuzz/run $(O)/fuzz $(FUZZ_SECONDS) $(FUZZ_BIN)

CHECKS += fuzz
