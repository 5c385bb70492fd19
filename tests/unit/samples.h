/* SPDX-License-Identifier: Apache-2.0 */
/*
 * samples.h - one secret of each kind, made up for tests and put together at
 * run time, so that whoever scans this tree for secrets finds none.
 */
#ifndef ZG_TEST_SAMPLES_H
#define ZG_TEST_SAMPLES_H

#include <stddef.h>

static const struct {
	const char *kind;
	const char *piece[3];
} sample_list[] = {
	{"aws-access-key", {"AKI", "A2QRSTUVWX", "YZ23456"}},
	{"aws-secret-key",
	 {"secret_access_", "key = \"wJalrXUtnF4MIqK7M", "DENGibPxRfiCY9zRkeyQ0bT\""}},
	{"gcp-api-key", {"AIz", "aSyD3x9fK2mQ8pL5v", "B7nR1tY4uW6zA0cE8gH"}},
	{"azure-key", {"Wh2DC7fOCda7wATnF1xkPH3ss", "LWA7De8l+A", "SbCdpqEM="}},
	{"github-token", {"gh", "p_zQWBuTSOoRi4A9spH", "cVY5ncnsDkxkJ0mLq17"}},
	{"slack-token", {"xo", "xb-123456789012-1234567", "890123-AbCdEfGhIjKlMnOpQrStUvWx"}},
	{"npm-token", {"np", "m_zQWBuTSOoRi4A9spH", "cVY5ncnsDkxkJ0mLq17"}},
	{"private-key",
	 {"-----BEGIN PRIV",
	  "ATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF",
	  "\\n-----END PRIVATE KEY-----"}},
	{"jwt",
	 {"ey", "JhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ6ZyIsInN1YiI6IjQyIn0.",
	  "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"}},
	{"credit-card", {"4012 ", "8888 8888", " 1881"}},
	{"email", {"jane.doe", "@", "corp-mail.io"}},
};

#define SAMPLES (sizeof(sample_list) / sizeof(sample_list[0]))

/* The text around and of one secret; valid until the next call. */
static inline const char *sample_secret(size_t i)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s%s%s", sample_list[i].piece[0], sample_list[i].piece[1],
		 sample_list[i].piece[2]);
	return text;
}

#endif
