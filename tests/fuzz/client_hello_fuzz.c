/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_hello_fuzz.c - a client's first bytes. What must hold: the answer does
 * not change as more bytes come, once it is not "more"; a name that is found is
 * a host name in lower case.
 */
#include "client_hello.h"
#include "hostname.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "does not hold: %s\n", #what);                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool same(const struct zg_client_hello *a, const struct zg_client_hello *b)
{
	return strcmp(a->name, b->name) == 0 && a->encrypted == b->encrypted &&
	       a->alpn == b->alpn && a->http1 == b->http1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct zg_slice all = {(const char *)bytes, size};
	struct zg_client_hello whole, part;
	enum zg_hello_state state = zg_client_hello_read(all, &whole), early;

	CHECK((state == ZG_HELLO_BAD) == (whole.why != NULL) || state == ZG_HELLO_MORE);
	CHECK(!whole.http1 || whole.alpn);
	if (state == ZG_HELLO_COMPLETE && whole.name[0])
		CHECK(zg_hostname_ok(zg_slice_str(whole.name)));
	for (size_t n = 0; n < size; n = n < 64 ? n + 1 : n * 2) {
		early = zg_client_hello_read((struct zg_slice){all.ptr, n}, &part);
		if (early == ZG_HELLO_MORE)
			continue;
		CHECK(early == state);
		CHECK(state != ZG_HELLO_COMPLETE || same(&whole, &part));
		break;
	}
	return 0;
}
