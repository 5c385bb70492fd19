# SPDX-License-Identifier: Apache-2.0
# make check-vm: what touches the kernel, on Debian's kernels 6.1 and 6.12 in QEMU.

VM_SUITES ?= bookworm,bookworm-backports
VM_TESTS  := $(addprefix $(O)/tests/unit/parent/kernel_,budget_test lsm_test)
# What no hook of a cgroup stops.
VM_BYPASS := --only lsm,unix,member

.PHONY: check-vm
check-vm:
	$(Q)tools/install-deps vm
	+$(Q)$(MAKE) --no-print-directory $(VM_TESTS) $(O)/tests/bypass/bypass
	$(Q)tests/vm/run $(O)/vm $(VM_SUITES) $(VM_TESTS) '$(O)/tests/bypass/bypass $(VM_BYPASS)'
