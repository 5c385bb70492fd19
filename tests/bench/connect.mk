# SPDX-License-Identifier: Apache-2.0
# connect_bench borrows the laboratory of the kernel tests.
$(O)/bench/connect_bench: PKG_LIBS += -lcmocka
