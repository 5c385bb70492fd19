/* SPDX-License-Identifier: Apache-2.0 */
/* X(NAME, text): why a host name was not resolved, or an address not learned; enum
 * zg_name_reason of zg_wire.h. */
X(NOT_ALLOWED, "no allow entry of the profile covers this host name")
X(DENIED, "a deny entry of the profile covers this host name")
X(ODD, "it is not an ordinary host name")
X(DOH, "it resolves names for others over HTTPS, so an entry must name it exactly")
X(ADDRESS, "it stands for an address that it must not have")
X(LOCAL, "it stands for a local address, and its entry does not say local: true")
X(WILDCARD, "its wildcard covers as many names as it may at a time")
X(FULL, "the table of learned names is full")
X(PORTS, "its address has too many port ranges already")
X(STATE, "the kernel could not keep the address")
