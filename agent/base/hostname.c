/* SPDX-License-Identifier: Apache-2.0 */
/* hostname.c - see hostname.h. Trust: names and addresses may be anybody's. */
#include "hostname.h"

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool zg_hostname_ok(struct zg_slice s)
{
	size_t label = 0;

	if (!s.len || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.') {
			if (!label || s.ptr[i - 1] == '-')
				return false;
			label = 0;
		} else if (!label_char(s.ptr[i]) || (s.ptr[i] == '-' && !label) || ++label > 63) {
			return false;
		}
	}
	return label && s.ptr[s.len - 1] != '-';
}

static bool ends_in(struct zg_slice name, struct zg_slice tail)
{
	return name.len > tail.len &&
	       memcmp(name.ptr + name.len - tail.len, tail.ptr, tail.len) == 0;
}

bool zg_hostname_matches(struct zg_slice pattern, struct zg_slice name)
{
	if (!zg_slice_starts(pattern, ZG_SLICE("*.")))
		return zg_slice_eq(pattern, name);
	return ends_in(name, (struct zg_slice){pattern.ptr + 1, pattern.len - 1});
}

/* Public services that browsers, runtimes and guides name. Not complete, and
 * cannot be: it closes what a wildcard or a wide block would open by accident. */
static const char *const doh[] = {
	"dns.google",
	"dns64.dns.google",
	"cloudflare-dns.com",
	"chrome.cloudflare-dns.com",
	"mozilla.cloudflare-dns.com",
	"security.cloudflare-dns.com",
	"family.cloudflare-dns.com",
	"one.one.one.one",
	"1dot1dot1dot1.cloudflare-dns.com",
	"dns.quad9.net",
	"dns9.quad9.net",
	"dns10.quad9.net",
	"dns11.quad9.net",
	"doh.opendns.com",
	"doh.familyshield.opendns.com",
	"dns.umbrella.com",
	"doh.umbrella.com",
	"dns.adguard-dns.com",
	"family.adguard-dns.com",
	"unfiltered.adguard-dns.com",
	"dns.adguard.com",
	"doh.cleanbrowsing.org",
	"dns.nextdns.io",
	"firefox.dns.nextdns.io",
	"dns.controld.com",
	"freedns.controld.com",
	"dns.mullvad.net",
	"doh.dns.sb",
	"dns.sb",
	"doh.xfinity.com",
	"dns.alidns.com",
	"doh.pub",
	"dns.pub",
	"doh.360.cn",
	"dns.switch.ch",
	"doh.libredns.gr",
	"dns.digitale-gesellschaft.ch",
	"doh.applied-privacy.net",
	"odvr.nic.cz",
	"dns0.eu",
	"zero.dns0.eu",
	"dns.twnic.tw",
	"doh.tiar.app",
	"wikimedia-dns.org",
	"common.dot.dns.yandex.net",
};

bool zg_hostname_is_doh(struct zg_slice name)
{
	for (size_t i = 0; i < sizeof(doh) / sizeof(doh[0]); i++)
		if (zg_slice_eq(zg_slice_str(doh[i]), name))
			return true;
	return false;
}

const struct zg_closed_addr zg_closed_addrs[] = {
	{"169.254.169.254", NULL}, /* AWS, Azure, GCP and most others */
	{"169.254.170.2", NULL},   /* AWS ECS */
	{"100.100.100.200", NULL}, /* Alibaba */
	{"fd00:ec2::254", NULL},   /* AWS over IPv6 */
	{"fd20:ce::254", NULL},	   /* GCP over IPv6 */
	{"8.8.8.8", "dns.google"},
	{"8.8.4.4", "dns.google"},
	{"2001:4860:4860::8888", "dns.google"},
	{"2001:4860:4860::8844", "dns.google"},
	{"1.1.1.1", "cloudflare-dns.com"},
	{"1.0.0.1", "cloudflare-dns.com"},
	{"2606:4700:4700::1111", "cloudflare-dns.com"},
	{"2606:4700:4700::1001", "cloudflare-dns.com"},
	{"9.9.9.9", "dns.quad9.net"},
	{"149.112.112.112", "dns.quad9.net"},
	{"2620:fe::fe", "dns.quad9.net"},
	{"2620:fe::9", "dns.quad9.net"},
	{"208.67.222.222", "doh.opendns.com"},
	{"208.67.220.220", "doh.opendns.com"},
	{"2620:119:35::35", "doh.opendns.com"},
	{"2620:119:53::53", "doh.opendns.com"},
	{"94.140.14.14", "dns.adguard-dns.com"},
	{"94.140.15.15", "dns.adguard-dns.com"},
	{"45.90.28.0", "dns.nextdns.io"},
	{"45.90.30.0", "dns.nextdns.io"},
	{"76.76.2.0", "dns.controld.com"},
	{"76.76.10.0", "dns.controld.com"},
	{"223.5.5.5", "dns.alidns.com"},
	{"223.6.6.6", "dns.alidns.com"},
};
const size_t zg_closed_addr_count = sizeof(zg_closed_addrs) / sizeof(zg_closed_addrs[0]);

/* addresses ------------------------------------------------------------------ */

struct block {
	const char *addr;
	uint32_t prefixlen; /* of 128 */
};

/* Nobody is reached there by name. */
static const struct block never[] = {
	{"0.0.0.0", 96 + 8}, {"224.0.0.0", 96 + 4}, {"240.0.0.0", 96 + 4},
	{"ff00::", 8},	     {"::", 128},
};

/* Of this machine or its networks: what a name under somebody else's control
 * would stand for to get at them (DNS rebinding). */
static const struct block nearby[] = {
	{"127.0.0.0", 96 + 8},	  {"10.0.0.0", 96 + 8},	   {"172.16.0.0", 96 + 12},
	{"192.168.0.0", 96 + 16}, {"100.64.0.0", 96 + 10}, {"169.254.0.0", 96 + 16},
	{"192.0.0.0", 96 + 24},	  {"198.18.0.0", 96 + 15}, {"::1", 128},
	{"fe80::", 10},		  {"fc00::", 7},	   {"fec0::", 10},
	{"64:ff9b:1::", 48}, /* NAT64 of a network's own, RFC 8215: any IPv4 address */
};

static bool in_block(const uint8_t addr[16], const struct block *b)
{
	uint32_t bytes = b->prefixlen / 8, rest = b->prefixlen % 8;
	uint8_t start[16];

	if (zg_addr_parse(zg_slice_str(b->addr), start) < 0 || memcmp(addr, start, bytes) != 0)
		return false;
	return !rest || (addr[bytes] ^ start[bytes]) >> (8 - rest) == 0;
}

static bool in_blocks(const uint8_t addr[16], const struct block *b, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (in_block(addr, &b[i]))
			return true;
	return false;
}

/* The form that the gate judges: bpf/addr.bpf.h. */
static void unwrap(const uint8_t addr[16], uint8_t out[16])
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b}, mapped[12] = {[10] = 0xff, 0xff};
	bool is_nat64 = memcmp(addr, nat64, sizeof(nat64)) == 0;

	memcpy(out, addr, 16);
	if (!is_nat64 && !(addr[0] == 0x20 && addr[1] == 0x02))
		return;
	memcpy(out, mapped, sizeof(mapped));
	memcpy(out + 12, is_nat64 ? addr + 12 : addr + 2, 4);
}

enum zg_name_reason zg_hostname_addr(const uint8_t addr[16], bool local)
{
	uint8_t a[16], closed[16];

	unwrap(addr, a);
	for (size_t i = 0; i < zg_closed_addr_count && !zg_closed_addrs[i].host; i++)
		if (zg_addr_parse(zg_slice_str(zg_closed_addrs[i].addr), closed) < 0 ||
		    memcmp(a, closed, sizeof(closed)) == 0)
			return ZG_NR_ADDRESS;
	if (in_blocks(a, never, sizeof(never) / sizeof(never[0])))
		return ZG_NR_ADDRESS;
	if (!local && in_blocks(a, nearby, sizeof(nearby) / sizeof(nearby[0])))
		return ZG_NR_LOCAL;
	return ZG_NR_NONE;
}
