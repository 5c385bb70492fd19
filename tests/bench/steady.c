/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady.c ADDRESS PORT PATH RATE SECONDS - so many calls a second, evenly spaced
 * over kept connections, whether or not the ones before were answered: a call's
 * time runs from when it was due. (wrk's pauses are of whole milliseconds: its
 * calls come in bunches and wait for each other.) Prints what call.lua prints.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 30
#define SECOND	    UINT64_C(1000000000)

static const char body[] =
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"read_"
	"issue\",\"arguments\":{\"owner\":\"example\",\"repo\":\"zerogate\",\"number\":17,"
	"\"comments\":true}}}";

struct conn {
	int fd;
	uint64_t due_ns; /* of the call under way; 0 = idle */
	size_t got;
	char in[16384];
};

static struct conn conns[CONNECTIONS];
static uint64_t *took;
static size_t calls;

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void dial(int epoll, const char *address, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int one = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		error(2, 0, "%s is no IPv4 address", address);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (conns[i].fd < 0 || connect(conns[i].fd, (void *)&to, sizeof(to)) < 0 ||
		    setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
		    epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &ev) < 0)
			error(1, errno, "%s:%s", address, port);
	}
}

/* All of an answer, which has a Content-Length. */
static bool whole(const struct conn *c)
{
	const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
	const char *length;

	if (!end)
		return false;
	if (strncmp(c->in, "HTTP/1.1 200", 12) != 0)
		error(1, 0, "%.*s", (int)c->got, c->in);
	length = strcasestr(c->in, "\r\ncontent-length:");
	if (!length || length > end)
		error(1, 0, "an answer without Content-Length");
	return c->got >= (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10);
}

static void take(struct conn *c)
{
	ssize_t n = read(c->fd, c->in + c->got, sizeof(c->in) - 1 - c->got);

	if (n <= 0 || !c->due_ns)
		error(1, 0, "a connection ended");
	c->got += (size_t)n;
	c->in[c->got] = '\0';
	if (!whole(c))
		return;
	took[calls++] = now() - c->due_ns;
	c->due_ns = 0;
	c->got = 0;
}

static bool send_one(const char *request, size_t len, uint64_t due_ns)
{
	static size_t next;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct conn *c = &conns[next++ % CONNECTIONS];

		if (c->due_ns)
			continue;
		c->due_ns = due_ns;
		if (write(c->fd, request, len) != (ssize_t)len)
			error(1, errno, "write");
		return true;
	}
	return false; /* all are busy: it waits, and its time runs */
}

static bool busy(void)
{
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (conns[i].due_ns)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct epoll_event ev[CONNECTIONS];
	uint64_t begin, gap, total, sent = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC), len;
	char request[2048];

	if (argc != 6 || epoll < 0)
		error(2, 0, "steady ADDRESS PORT PATH RATE SECONDS");
	gap = SECOND / strtoul(argv[4], NULL, 10);
	total = strtoul(argv[5], NULL, 10) * SECOND / gap;
	took = calloc(total, sizeof(*took));
	len = snprintf(request, sizeof(request),
		       "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
		       "Accept: application/json, text/event-stream\r\n"
		       "MCP-Protocol-Version: 2025-11-25\r\nContent-Length: %zu\r\n\r\n%s",
		       argv[3], argv[1], argv[2], sizeof(body) - 1, body);
	if (!took || len < 0 || len >= (int)sizeof(request))
		return 1;
	dial(epoll, argv[1], argv[2]);
	begin = now();
	while (sent < total || busy()) {
		uint64_t due = begin + sent * gap, at = now();
		struct timespec wait = {1, 0};
		int n;

		if (sent < total && at >= due && send_one(request, (size_t)len, due)) {
			sent++;
			continue;
		}
		if (sent < total && at < due)
			wait = (struct timespec){0, (long)(due - at)};
		n = epoll_pwait2(epoll, ev, CONNECTIONS, &wait, NULL);
		if (n < 0 && errno != EINTR)
			error(1, errno, "epoll");
		for (int i = 0; i < n; i++)
			take(ev[i].data.ptr);
	}
	qsort(took, calls, sizeof(*took), order);
	printf("\n@{\"calls\":%zu,\"us\":%llu,\"p50\":%llu,\"p99\":%llu,\"bad\":0}\n", calls,
	       (unsigned long long)((now() - begin) / 1000),
	       (unsigned long long)(took[calls / 2] / 1000),
	       (unsigned long long)(took[calls * 99 / 100] / 1000));
	free(took);
	return 0;
}
