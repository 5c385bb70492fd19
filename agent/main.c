/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - zerogated(8): one ELF, several roles. Started by people it is the
 * parent; the parent re-executes it with --role and a socket on descriptor 3.
 */
#include <stdio.h>

int main(void)
{
	fputs("zerogated: no role is built yet\n", stderr);
	return 2;
}
