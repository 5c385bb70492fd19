/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned.h - functions that truncate, overflow or guess in silence. Forced
 * into every translation unit of ours (-include) after the system headers
 * that declare them, so that a use is a compile error.
 */
#ifndef ZG_BANNED_H
#define ZG_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strncat gets atoi atol atoll atof
#pragma GCC poison strtok tmpnam mktemp gmtime localtime asctime ctime

#endif
