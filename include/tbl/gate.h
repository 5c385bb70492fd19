/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, owner, what): gates that trip when something happened that must
 * not, and stay tripped until a person of the security group lifts them. The
 * text is stable: programs match it.
 */
X(GOVERNANCE, "governance", "Governance", "a high-risk write that one person alone let through")
