"""The calls of the benches: the one that is measured, and those that set a target up."""

import http.client
import json

from .processes import Failure

HTTP_TIMEOUT = 10  # seconds for one answer while setting up

SLUG = "bench-upstream"
TENANT = "org_id=acme&user_id=marina"
CALL = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "search_documents",
            "arguments": {
                "query": "quarterly report of the northern region",
                "language": "en",
                "limit": 10,
                "sort": "date",
            },
        },
    },
    separators=(",", ":"),
)
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}]}}'
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HTTP_TIMEOUT)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{method} {path.partition('?')[0]}: {error!r}") from error
    finally:
        connection.close()


def api(port, path, body, session=None):
    """One REST call that has to succeed."""
    headers = {"Content-Type": "application/json"}
    if session:
        headers["Authorization"] = f"Bearer {session}"
    status, answer = request(port, "POST", f"/api/v1{path}", json.dumps(body), headers)
    if status not in (200, 201):
        raise Failure(f"POST /api/v1{path} answered {status}: {answer.decode(errors='replace')[:500]}")
    return json.loads(answer)
