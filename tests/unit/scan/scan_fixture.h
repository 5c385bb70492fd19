/* SPDX-License-Identifier: Apache-2.0 */
/* scan_fixture.h - a scanner for a test binary, built as the product builds it. */
#ifndef ZG_SCAN_FIXTURE_H
#define ZG_SCAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scan.h"

static struct zg_scanner *scanner;
static struct zg_findings found;

static int open_scanner(void **state)
{
	zg_autobuf db = ZG_BUF(1 << 24);
	struct zg_err e = {0};

	(void)state;
	if (zg_scandb_build(&db, &e) < 0 || zg_scanner_new(&scanner, db.ptr, db.len, &e) < 0) {
		fprintf(stderr, "%s\n", e.what);
		return -1;
	}
	return 0;
}

static int close_scanner(void **state)
{
	(void)state;
	zg_scanner_free(scanner);
	zg_findings_release(&found);
	return 0;
}

#endif
