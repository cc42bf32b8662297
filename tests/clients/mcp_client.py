"""The official Python SDK, 2.x. Mode "auto" speaks the newest protocol where the server does,
"legacy" never, "2026-07-28" nothing else."""

import sys

import common
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def client(url, headers, mode, calls):
    hooks = {"response": [_tell_refusal]}
    async with httpx2.AsyncClient(headers=headers, timeout=common.LIMIT_SECONDS, event_hooks=hooks) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as mcp:
            tools, cursor = [], None
            while True:
                page = await mcp.list_tools(cursor=cursor)
                tools += [tool.name for tool in page.tools]
                cursor = page.next_cursor
                if not cursor:
                    break
            answers = []
            for name, arguments in calls:
                result = await mcp.call_tool(name, arguments)
                answers.append("".join(block.text for block in result.content if block.type == "text"))
                if result.is_error:
                    raise RuntimeError(f"{name} answered with an error: {answers[-1]}")
            return {"tools": tools, "answers": answers, "protocol": mcp.protocol_version}


async def _tell_refusal(response):
    # The SDK's own error omits the status. Some refusals are normal: auto mode probes, and a GET stream is optional.
    if response.status_code >= 400:
        print(f"{response.request.method} answered {response.status_code}", file=sys.stderr)


common.run(client, modes=["auto", "legacy", "2026-07-28"])
