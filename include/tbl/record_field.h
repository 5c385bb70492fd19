/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of an audit record, in the order in which they are written.
 *   STR(name, JOURNAL_NAME, size)   text, NUL-terminated, size with the NUL
 *   NUM(name, JOURNAL_NAME)         uint64_t
 *   HEX(name, JOURNAL_NAME, bytes)  a digest, written as lower-case hex
 *   ADR(name, JOURNAL_NAME)         16 bytes, written as an IP address
 * A field is written only when it was set (ZG_REC_* in zg_wire.h). There are
 * at most 128. No field ever holds a raw argument, a result or a secret.
 */
STR(message, "ZG_TEXT", ZG_REASON_LEN) /* the sentence a person reads */
/* who: as the kernel attests it */
STR(profile, "ZG_PROFILE", ZG_NAME_LEN)
STR(cgroup, "ZG_CGROUP", ZG_CGROUP_LEN)
NUM(cgroup_id, "ZG_CGROUP_ID")
NUM(pid, "ZG_PID")
NUM(pid_start_ns, "ZG_PID_START_NS")
NUM(uid, "ZG_UID")
NUM(gid, "ZG_GID")
STR(comm, "ZG_COMM", ZG_COMM_LEN)
/* what */
STR(server, "ZG_SERVER", ZG_SERVER_LEN)
STR(method, "ZG_METHOD", ZG_METHOD_LEN)
STR(tool, "ZG_TOOL", ZG_TOOL_LEN)
STR(action, "ZG_ACTION", ZG_NAME_LEN)
STR(risk_tags, "ZG_RISK_TAGS", ZG_FINDINGS_LEN)
NUM(call, "ZG_CALL") /* worker-unique; pairs intent and outcome */
HEX(args_sha256, "ZG_ARGS_SHA256", 32)
NUM(args_bytes, "ZG_ARGS_BYTES")
/* the answer */
STR(decision, "ZG_DECISION", ZG_NAME_LEN)
STR(rules, "ZG_RULES", ZG_RULES_LEN)
STR(reason, "ZG_REASON", ZG_REASON_LEN)
HEX(snapshot, "ZG_SNAPSHOT", 32)
NUM(decide_ns, "ZG_DECIDE_NS")
/* what came of it */
/* ok, tool_error, rpc_error, upstream_error, timeout, cancelled, quarantined, deferred */
STR(outcome, "ZG_OUTCOME", ZG_NAME_LEN)
NUM(status, "ZG_STATUS") /* HTTP status from the server, exit status of a child */
NUM(duration_us, "ZG_DURATION_US")
NUM(result_bytes, "ZG_RESULT_BYTES")
STR(findings, "ZG_FINDINGS", ZG_FINDINGS_LEN)
NUM(max_runtime_sec, "ZG_MAX_RUNTIME_SEC")
/* approvals */
STR(approval, "ZG_APPROVAL", ZG_NAME_LEN)
NUM(approver_uid, "ZG_APPROVER_UID")
NUM(approver_pid, "ZG_APPROVER_PID")
NUM(waited_ms, "ZG_WAITED_MS")
/* where */
ADR(address, "ZG_ADDRESS")
NUM(port, "ZG_PORT")
STR(protocol, "ZG_PROTOCOL", ZG_NAME_LEN)
STR(layer, "ZG_LAYER", ZG_NAME_LEN)
NUM(transparent, "ZG_TRANSPARENT")
/* the agent itself */
STR(role, "ZG_ROLE", ZG_NAME_LEN)
NUM(worker, "ZG_WORKER")
NUM(signal, "ZG_SIGNAL")
NUM(count, "ZG_COUNT")
STR(file, "ZG_FILE", ZG_CGROUP_LEN)
NUM(line, "ZG_LINE")
NUM(column, "ZG_COLUMN")
STR(signature, "ZG_SIGNATURE", 192)
STR(path, "ZG_SOCKET_PATH", ZG_EVENT_PATH)  /* unix socket or executable */
STR(names, "ZG_NAMES", ZG_REASON_LEN)	    /* host names that the verdict rests on */
NUM(local_port, "ZG_LOCAL_PORT")	    /* of a packet: our end's */
STR(evidence, "ZG_EVIDENCE", ZG_REASON_LEN) /* names of signatures that matched, never content */
/* definitions of tools: agent/ledger/pin.h */
STR(definition, "ZG_DEFINITION", ZG_NAME_LEN) /* tool, prompt, template, instructions, identity */
HEX(definition_sha256, "ZG_DEFINITION_SHA256", 32)
STR(withheld, "ZG_WITHHELD", ZG_FINDINGS_LEN) /* "why:count,..." of a list's entries */
/* what a server asks of its client */
STR(direction, "ZG_DIRECTION", ZG_NAME_LEN) /* "server": it asks, the client would answer */
NUM(dropped, "ZG_DROPPED")		    /* messages of the server that nobody was shown */
NUM(sent_bytes, "ZG_SENT_BYTES")	    /* of a connection: by the client */
NUM(received_bytes, "ZG_RECEIVED_BYTES")    /* and to it */
STR(subject, "ZG_SUBJECT", ZG_SUBJECT_LEN)  /* of the access token: "issuer number:sub" */
/* approvals by several people; gates: tbl/gate.h */
STR(conflict, "ZG_CONFLICT", ZG_NAME_LEN) /* tbl/conflict.h */
STR(other_approval, "ZG_OTHER_APPROVAL", ZG_NAME_LEN)
NUM(approvers, "ZG_APPROVERS") /* different people who must agree */
NUM(agreed, "ZG_AGREED")       /* and how many did */
STR(gate, "ZG_GATE", ZG_NAME_LEN)
STR(limit, "ZG_LIMIT", ZG_FINDINGS_LEN) /* the limit that a call found used up */
/* the life of a registered server: agent/ledger/servers.h */
STR(owner, "ZG_OWNER", ZG_OWNER_LEN)
STR(acted_as, "ZG_ACTED_AS", ZG_NAME_LEN) /* submitter, security, owner, approver, agent */
HEX(entry_sha256, "ZG_ENTRY_SHA256", 32)
STR(labels, "ZG_LABELS", ZG_REASON_LEN) /* "key=value,...": what the matching rules annotate */
/* what the policy on trial would have said, where it differs */
STR(shadow_decision, "ZG_SHADOW_DECISION", ZG_NAME_LEN)
STR(shadow_rules, "ZG_SHADOW_RULES", ZG_RULES_LEN)
STR(narrowed, "ZG_NARROWED", ZG_NAME_LEN) /* the local server's profile during the call */
