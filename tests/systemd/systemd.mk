# SPDX-License-Identifier: Apache-2.0
# make systemd: the installed service under a real systemd and journald (root).

.PHONY: systemd
systemd: all
	$(Q)tests/systemd/service $(O)

CHECKS += systemd
