/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text): what policy can say of a call, least restrictive last.
 * Zero is DENY; a smaller value is more restrictive, so the most restrictive
 * of two decisions is their minimum.
 */
X(DENY, "DENY")
X(REQUIRE_APPROVAL, "REQUIRE_APPROVAL")
X(ALLOW_WITH_CONSTRAINTS, "ALLOW_WITH_CONSTRAINTS")
X(ALLOW, "ALLOW")
