/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, by_default): what people can be told of. The text is what
 * zerogate.yaml calls it; which records each of them is: agent/ledger/notify.c.
 */
X(REQUEST, "request", 1)	 /* an approval is asked for */
X(VOTE, "vote", 0)		 /* one agreed, others have to as well */
X(DECISION, "decision", 0)	 /* it was approved or denied */
X(EXPIRY, "expiry", 0)		 /* it is void */
X(BREAK_GLASS, "break_glass", 1) /* one person alone approved it */
X(GATE_TRIP, "gate_trip", 1)	 /* a gate was tripped */
