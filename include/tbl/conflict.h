/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, hint): why a decision does not hold, or a retry does not find the
 * approval that its caller thinks it has. The text is stable: programs match it.
 */
X(EXPIRED, "expired", "the client asks again when it retries the call")
X(CONSUMED, "consumed", "it was approved and has been used; a new call asks anew")
X(ARGS_CHANGED, "args_changed", "an approval is for exactly the arguments that were shown")
X(POLICY_CHANGED, "policy_changed", "the client asks again when it retries the call")
X(TOOL_CHANGED, "tool_changed", "see zerogate servers diff; the client then asks again")
X(SELF_APPROVAL, "self_approval", "another approver has to decide")
X(NOT_AUTHORISED, "not_authorised", "ask to be added to the group that zerogate.yaml names")
X(ALREADY_DECIDED, "already_decided", "see zerogate approvals show")
X(CANCELLED, "cancelled", "its client took it back; a new call asks anew")
X(ENTRY_CHANGED, "entry_changed", "look at what is submitted now: zerogate servers show")
