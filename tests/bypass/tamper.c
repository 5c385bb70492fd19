/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tamper.c - a governed process of root's takes the gate apart with bpf(), or
 * makes a network device of its own. Root is trusted; where the kernel can, it
 * is refused all the same.
 */
#include "bypass.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <linux/if_tun.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

/* fn for each pin of the gate's folder; the first errno, or 0. */
static int each_pin(const struct stage *st, int (*fn)(const char *path, const char *name))
{
	char path[sizeof(st->lab->pins) + 256];
	DIR *dir = opendir(st->lab->pins);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return errno;
	while (!r && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", st->lab->pins, d->d_name);
		r = fn(path, d->d_name);
	}
	(void)closedir(dir);
	return r;
}

static int detach_link(const char *path, const char *name ZG_UNUSED)
{
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);
	zg_autofd int fd = bpf_obj_get(path);

	if (fd < 0)
		return errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0 || info.type != BPF_LINK_TYPE_CGROUP)
		return 0; /* a map */
	return bpf_link_detach(fd) < 0 ? errno : 0;
}

static int detach(struct stage *st)
{
	int r = each_pin(st, detach_link);

	return r ? r : step_dial(OUT4, PORT);
}

/* By id, without the folder: each link at the attach point. */
static int detach_by_id(struct stage *st ZG_UNUSED)
{
	uint32_t id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = {0};
		uint32_t bytes = sizeof(info);
		struct stat root;
		zg_autofd int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			return errno;
		if (fstat(st->lab->root_fd, &root) < 0 ||
		    bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
			return errno;
		if (info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == root.st_ino &&
		    bpf_link_detach(fd) < 0)
			return errno;
	}
	return step_dial(OUT4, PORT);
}

static int forget_members(const char *path, const char *name)
{
	zg_autofd int fd = -1;
	uint64_t id;

	if (!strstr(name, "zg_member"))
		return 0;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno;
	while (bpf_map_get_next_key(fd, NULL, &id) == 0)
		if (bpf_map_delete_elem(fd, &id) < 0)
			return errno;
	return 0;
}

/* The map that says whom to govern, emptied. */
static int edit_map(struct stage *st)
{
	int r = each_pin(st, forget_members);

	return r ? r : step_dial(OUT4, PORT);
}

/* A device whose other end is this process: what it writes has come from afar. */
static int tunnel(struct stage *st ZG_UNUSED)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char mark[MARK_LEN];
	} __attribute__((packed)) p = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP},
		.udp = {.source = htons(9), .dest = htons(PORT)},
	};
	struct ifreq r = {.ifr_name = "zgtun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), up = step_socket(OUT4, SOCK_DGRAM);
	const uint8_t *bytes = (const void *)&p.ip;
	uint32_t sum = 0;

	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		return errno;
	r.ifr_flags = IFF_UP;
	if (ioctl(up, SIOCSIFFLAGS, &r) < 0)
		return errno;
	(void)inet_pton(AF_INET, "198.18.77.7", &p.ip.saddr);
	(void)inet_pton(AF_INET, NET_ADDR4, &p.ip.daddr);
	p.ip.tot_len = htons(sizeof(p));
	p.udp.len = htons(sizeof(p.udp) + MARK_LEN);
	memcpy(p.mark, MARK, MARK_LEN);
	for (size_t i = 0; i < sizeof(p.ip); i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	p.ip.check = htons((uint16_t) ~(sum + (sum >> 16)));
	return write(fd, &p, sizeof(p)) < 0 ? errno : 0;
}

static const struct attempt tamper_attempts_rows[] = {
	{"bpf-detach", T_TAMPER, "detaches the pinned links, as root", detach, .root = true,
	 .tampers = true},
	{"bpf-detach-id", T_TAMPER, "detaches all links, found by id, as root", detach_by_id,
	 .root = true, .tampers = true},
	{"bpf-map", T_TAMPER, "empties the map of the governed, as root", edit_map, .root = true,
	 .tampers = true},
	{"tun", T_TUNNEL, "a datagram from a tunnel device, as root", tunnel, .root = true,
	 .optional = true},
};
ATTEMPTS(tamper_attempts);
