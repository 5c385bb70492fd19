# SPDX-License-Identifier: Apache-2.0
# These borrow the laboratory of the kernel tests.
BENCH_LAB := connect packet stdio denial peer
$(BENCH_LAB:%=$(O)/bench/%_bench): PKG_LIBS += -lcmocka

$(O)/bench/peer_bench: $(O)/bench/peer.bpf.o
$(O)/bench/peer_bench: TEST_INC += -DZG_PEER_BPF='"$(abspath $(O))/bench/peer.bpf.o"' \
	-DZG_PEER_BOOT='"$(abspath tests/systemd/boot)"'
$(O)/bench/peer.bpf.o: tests/bench/peer.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<
