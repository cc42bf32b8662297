"""Just enough of an MCP client to see what a cluster does: one message, one answer, and who may see it."""

import itertools

from cluster import ask

LEGACY, MODERN = "2025-11-25", "2026-07-28"
_numbers = itertools.count(1)


class Client:
    """One tenant user behind one key, at one server, legacy or modern."""

    def __init__(self, port, token, user, slug, modern):
        self.port, self.user, self.slug, self.modern = port, user, slug, modern
        self.token, self.session = token, None

    def headers(self, method, params):
        headers = {"X-API-Key": self.token, "MCP-Protocol-Version": MODERN if self.modern else LEGACY}
        if self.modern:
            headers["Mcp-Method"] = method
            if name := params.get("name"):
                headers["Mcp-Name"] = name
        elif self.session:
            headers["Mcp-Session-Id"] = self.session
        return headers

    def send(self, method, params, port=None, session=None, timeout=15):
        """One request; whoever is asked, a balancer or a node."""
        message = {"jsonrpc": "2.0", "id": next(_numbers), "method": method, "params": dict(params)}
        if self.modern:
            version = "io.modelcontextprotocol/protocolVersion"
            message["params"]["_meta"] = {version: MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        headers = self.headers(method, params)
        if session:
            headers["Mcp-Session-Id"] = session
        path = f"/mcp-connect/{self.slug}/mcp?user_id={self.user}"
        return ask(port or self.port, "POST", path, message, headers, timeout)

    def greet(self):
        """Begins a session, where the revision has sessions; true when it did."""
        if self.modern:
            return True
        self.session = None
        info = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "cluster", "version": "1"}}
        answer = self.send("initialize", info)
        self.session = answer.headers.get("Mcp-Session-Id")
        return answer.status == 200

    def call(self, tool, arguments, port=None):
        return self.send("tools/call", {"name": tool, "arguments": arguments}, port)
