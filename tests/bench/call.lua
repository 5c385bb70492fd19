-- SPDX-License-Identifier: Apache-2.0
-- call.lua - wrk sends one tools/call over and over and reports in JSON.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
wrk.body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_issue",' ..
	'"arguments":{"owner":"example","repo":"zerogate","number":17,"comments":true}}}'

done = function(summary, latency, requests)
	local e = summary.errors
	io.write(string.format('\n@{"calls":%d,"us":%d,"p50":%d,"p99":%d,"bad":%d}\n', summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
