# SPDX-License-Identifier: Apache-2.0
# These borrow the laboratory of the kernel tests.
$(O)/bench/connect_bench: PKG_LIBS += -lcmocka
$(O)/bench/packet_bench: PKG_LIBS += -lcmocka
$(O)/bench/stdio_bench: PKG_LIBS += -lcmocka
$(O)/bench/denial_bench: PKG_LIBS += -lcmocka
