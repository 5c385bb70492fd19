/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, name, class, validator, verdict): what the scanner can find. The name
 * stands in placeholders, records and policies and is stable for ever; new
 * kinds go to the end. At most 32 (counts in struct zg_findings).
 *   class      SECRET or PII
 *   validator  what a candidate must pass besides its shape
 *   verdict    what happens to it unless policy says otherwise
 */
X(AWS_ACCESS_KEY, "aws-access-key", SECRET, "structure", REDACT)
X(AWS_SECRET_KEY, "aws-secret-key", SECRET, "context+entropy", REDACT)
X(GCP_API_KEY, "gcp-api-key", SECRET, "structure", REDACT)
X(AZURE_KEY, "azure-key", SECRET, "marvin32", REDACT)
X(GITHUB_TOKEN, "github-token", SECRET, "crc32", REDACT)
X(SLACK_TOKEN, "slack-token", SECRET, "structure", REDACT)
X(NPM_TOKEN, "npm-token", SECRET, "crc32", REDACT)
X(PRIVATE_KEY, "private-key", SECRET, "pem", REDACT)
X(JWT, "jwt", SECRET, "jose-header", REDACT)
X(CREDIT_CARD, "credit-card", PII, "luhn", REDACT)
X(EMAIL, "email", PII, "structure", REDACT)
