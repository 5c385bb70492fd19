# SPDX-License-Identifier: Apache-2.0
# make check-vm: what touches the kernel, on Debian's kernels 6.1 and 6.12 in QEMU.

VM_SUITES ?= bookworm,bookworm-backports
VM_UNIT   := $(O)/tests/unit/parent/kernel_
# Each loads the gate once, which is what takes the time. bypass: what no hook of a
# cgroup stops.
VM_BUILT  := $(addprefix $(VM_UNIT),budget_test lsm_test stdio_test) $(O)/tests/bypass/bypass
VM_TESTS  := '$(VM_UNIT)budget_test' '$(VM_UNIT)lsm_test' \
	'$(VM_UNIT)stdio_test a_server_is_killed_before_it_serves' \
	'$(O)/tests/bypass/bypass --only lsm,unix,member'

.PHONY: check-vm
check-vm:
	$(Q)tools/install-deps vm
	+$(Q)$(MAKE) --no-print-directory $(VM_BUILT)
	$(Q)tests/vm/run $(O)/vm $(VM_SUITES) $(VM_TESTS)
