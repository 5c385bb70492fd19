/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What MCP looks like on the wire, in both eras.
 *   SIGNATURE(NAME, place, level, key, value, text)
 *     HEADER  a line of an HTTP head that begins with key and a colon
 *     MEMBER  a member of a JSON message with that key; level is its depth: 1
 *             is the message's own member, 2 a member of params or result
 *     value   NULL: any; "*": any string; else that string
 *     text    its name in records (evidence); stable
 *   RULE(mask)  one message that shows all of these speaks MCP
 * At most 32 signatures. New ones go to the end. Letters of keys and values are
 * compared without their case.
 *
 * Why the rules have more than one term: LSP initializes too, with serverInfo
 * but without a protocolVersion; Prometheus answers with a resultType, but not
 * in a member "result" of the message; Ethereum has eth_protocolVersion, which
 * is a method and not a member; a log of MCP calls has a "method" but is not
 * JSON-RPC; a client that looks for a resource's authorization server sends
 * MCP-Protocol-Version with its GETs, which have no Content-Type as a message
 * has. A page about MCP is not JSON at all, and JSON that quotes a
 * message has its quotes escaped.
 */
SIGNATURE(SESSION_ID, HEADER, 0, "mcp-session-id", NULL, "header Mcp-Session-Id")
SIGNATURE(VERSION_HEADER, HEADER, 0, "mcp-protocol-version", NULL, "header MCP-Protocol-Version")
SIGNATURE(METHOD_HEADER, HEADER, 0, "mcp-method", NULL, "header Mcp-Method")
SIGNATURE(JSONRPC, MEMBER, 1, "jsonrpc", "2.0", "jsonrpc 2.0")
SIGNATURE(INITIALIZE, MEMBER, 1, "method", "initialize", "method initialize")
SIGNATURE(INITIALIZED, MEMBER, 1, "method", "notifications/initialized",
	  "method notifications/initialized")
SIGNATURE(DISCOVER, MEMBER, 1, "method", "server/discover", "method server/discover")
SIGNATURE(TOOLS_LIST, MEMBER, 1, "method", "tools/list", "method tools/list")
SIGNATURE(TOOLS_CALL, MEMBER, 1, "method", "tools/call", "method tools/call")
SIGNATURE(RESOURCES_LIST, MEMBER, 1, "method", "resources/list", "method resources/list")
SIGNATURE(RESOURCES_READ, MEMBER, 1, "method", "resources/read", "method resources/read")
SIGNATURE(PROMPTS_LIST, MEMBER, 1, "method", "prompts/list", "method prompts/list")
SIGNATURE(PROMPTS_GET, MEMBER, 1, "method", "prompts/get", "method prompts/get")
SIGNATURE(RESULT, MEMBER, 1, "result", NULL, "result")
SIGNATURE(PROTOCOL_VERSION, MEMBER, 2, "protocolVersion", "*", "protocolVersion")
SIGNATURE(SERVER_INFO, MEMBER, 2, "serverInfo", NULL, "serverInfo")
SIGNATURE(COMPLETE, MEMBER, 2, "resultType", "complete", "resultType complete")
SIGNATURE(INPUT_REQUIRED, MEMBER, 2, "resultType", "input_required", "resultType input_required")
SIGNATURE(META, MEMBER, 3, "io.modelcontextprotocol/protocolVersion", "*",
	  "_meta io.modelcontextprotocol/protocolVersion")
SIGNATURE(CONTENT_TYPE, HEADER, 0, "content-type", NULL, "header Content-Type")

#define BIT(NAME) (1u << ZG_SIG_##NAME)
RULE(BIT(SESSION_ID))
RULE(BIT(VERSION_HEADER) | BIT(CONTENT_TYPE))
RULE(BIT(METHOD_HEADER))
RULE(BIT(JSONRPC) | BIT(INITIALIZE) | BIT(PROTOCOL_VERSION))
RULE(BIT(JSONRPC) | BIT(INITIALIZED))
RULE(BIT(JSONRPC) | BIT(DISCOVER))
RULE(BIT(JSONRPC) | BIT(TOOLS_LIST))
RULE(BIT(JSONRPC) | BIT(TOOLS_CALL))
RULE(BIT(JSONRPC) | BIT(RESOURCES_LIST))
RULE(BIT(JSONRPC) | BIT(RESOURCES_READ))
RULE(BIT(JSONRPC) | BIT(PROMPTS_LIST))
RULE(BIT(JSONRPC) | BIT(PROMPTS_GET))
RULE(BIT(RESULT) | BIT(PROTOCOL_VERSION) | BIT(SERVER_INFO))
RULE(BIT(RESULT) | BIT(COMPLETE))
RULE(BIT(RESULT) | BIT(INPUT_REQUIRED))
RULE(BIT(META))
#undef BIT
