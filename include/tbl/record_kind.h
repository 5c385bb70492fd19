/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, text, MESSAGE_ID, syslog priority): every kind of audit record.
 * The text is the record's "kind", the id is journald's MESSAGE_ID; both are
 * stable for ever. New kinds go to the end.
 */
X(AGENT_START, "agent.start", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7101", 5)
X(AGENT_STOP, "agent.stop", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7102", 5)
X(AGENT_CHILD_EXIT, "agent.child_exit", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7103", 3)
X(POLICY_LOAD, "policy.load", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7104", 5)
X(POLICY_REJECT, "policy.reject", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7105", 3)
X(KERNEL_DENY, "kernel.deny", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7106", 4)
X(KERNEL_WOULD_DENY, "kernel.would_deny", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7107", 5)
X(KERNEL_LOST, "kernel.lost", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7108", 3)
X(CALL_REJECT, "call.reject", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7109", 4)
X(CALL_DENY, "call.deny", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710a", 4)
X(CALL_INTENT, "call.intent", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710b", 6)
X(CALL_OUTCOME, "call.outcome", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710c", 6)
X(APPROVAL_REQUEST, "approval.request", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710d", 5)
X(APPROVAL_APPROVE, "approval.approve", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710e", 5)
X(APPROVAL_DENY, "approval.deny", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a710f", 5)
X(APPROVAL_REFUSE, "approval.refuse", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7110", 3)
X(APPROVAL_EXPIRE, "approval.expire", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7111", 5)
X(APPROVAL_CONSUME, "approval.consume", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7112", 5)
X(RUN_START, "run.start", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7113", 6)
X(RUN_END, "run.end", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7114", 6)
X(AUDIT_RECOVER, "audit.recover", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7115", 4)
X(AUDIT_CHECKPOINT, "audit.checkpoint", "5d0c3a5b2a6f4c0f9b5c5e1d0f3a7116", 6)
