/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(text, asker, class, era): every method that is known, of all versions of the
 * protocol. What is not here is denied, unless the registry names it as an
 * extension of the server.
 *
 * asker: who may send it: CLIENT, SERVER or BOTH. A request of a server is
 *        judged under the same names, whether it came as a message or as an
 *        input request inside a result.
 * class: READ, WRITE, or TOOL (the registry's class of the tool that it names).
 *        What carries no call of its own (a notification, an answer, the poll
 *        of a task) is a READ.
 * era:   LEGACY (up to 2025-11-25), MODERN (from 2026-07-28) or EVER.
 */
X("initialize", CLIENT, READ, LEGACY)
X("ping", BOTH, READ, LEGACY)
X("server/discover", CLIENT, READ, MODERN)
X("tools/list", CLIENT, READ, EVER)
X("tools/call", CLIENT, TOOL, EVER)
X("resources/list", CLIENT, READ, EVER)
X("resources/templates/list", CLIENT, READ, EVER)
X("resources/read", CLIENT, READ, EVER)
X("resources/subscribe", CLIENT, READ, LEGACY)
X("resources/unsubscribe", CLIENT, READ, LEGACY)
X("subscriptions/listen", CLIENT, READ, MODERN)
X("prompts/list", CLIENT, READ, EVER)
X("prompts/get", CLIENT, READ, EVER)
X("completion/complete", CLIENT, READ, EVER)
X("logging/setLevel", CLIENT, READ, LEGACY)
X("tasks/get", BOTH, READ, EVER)
X("tasks/cancel", BOTH, READ, EVER)
X("tasks/result", BOTH, READ, LEGACY)
X("tasks/list", BOTH, READ, LEGACY)
X("tasks/update", CLIENT, READ, MODERN)
X("response", CLIENT, READ, LEGACY)	  /* a client's answer to a request of the server's */
X("stream/open", CLIENT, READ, LEGACY)	  /* the transport's GET */
X("session/delete", CLIENT, READ, LEGACY) /* the transport's DELETE */
/* what servers ask of clients */
X("sampling/createMessage", SERVER, WRITE, EVER) /* spends the client's model */
X("elicitation/create", SERVER, WRITE, EVER)	 /* asks a person, or sends one to a URL */
X("roots/list", SERVER, READ, EVER)
/* notifications */
X("notifications/initialized", CLIENT, READ, LEGACY)
X("notifications/roots/list_changed", CLIENT, READ, LEGACY)
X("notifications/cancelled", BOTH, READ, EVER)
X("notifications/progress", BOTH, READ, EVER)
X("notifications/tasks/status", BOTH, READ, LEGACY)
X("notifications/tasks", SERVER, READ, MODERN)
X("notifications/message", SERVER, READ, EVER)
X("notifications/resources/updated", SERVER, READ, EVER)
X("notifications/resources/list_changed", SERVER, READ, EVER)
X("notifications/tools/list_changed", SERVER, READ, EVER)
X("notifications/prompts/list_changed", SERVER, READ, EVER)
X("notifications/elicitation/complete", SERVER, READ, EVER)
X("notifications/subscriptions/acknowledged", SERVER, READ, MODERN)
