/* SPDX-License-Identifier: Apache-2.0 */
/* X(NAME, text): enum zg_gate_reason of zg_abi.h in words, in its order. */
X(NONE, "none")
X(NO_IDENTITY, "no allow entry covers this address")
X(NO_RULE, "the profile has no entry for this address and protocol")
X(PORT, "the profile does not allow this port")
X(RULE_DENY, "an explicit deny entry covers this destination")
X(CONTAINED, "the profile is contained")
X(NETNS, "the gateway cannot be reached from this network namespace")
X(NO_GATEWAY, "the gateway has no listener of this address family")
X(STATE, "the kernel could not keep the state that the gate needs")
X(FAMILY, "this address family is not judged here, so it is refused")
X(PROTOCOL, "only TCP and UDP sockets may be opened")
