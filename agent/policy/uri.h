/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uri.h - the one form of a resource's URI that all ways to write it have in
 * common: a server may take "FILE:///%65tc/./passwd" for "file:///etc/passwd",
 * so policy must not take them for two things.
 */
#ifndef ZG_URI_H
#define ZG_URI_H

#include <stdbool.h>

#include "slice.h"
#include "zg_limits.h"

/*
 * Into out (ZG_URI_BYTES): blanks around it and line ends in it dropped,
 * fragment (of file: the query too) cut, every percent code decoded, '\' as
 * '/', scheme and host in lower case, file: as file:///, no empty, '.' or '..'
 * parts. False: too long, or encoded over and over.
 */
bool zg_uri_plain(struct zg_slice uri, char *out, struct zg_slice *plain);

#endif
