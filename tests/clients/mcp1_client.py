"""The official Python SDK, 1.x: the legacy protocol only."""

import common
import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def client(url, headers, _mode, calls):
    async with httpx.AsyncClient(headers=headers, timeout=common.LIMIT_SECONDS) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, _):
            async with ClientSession(read, write) as mcp:
                protocol = (await mcp.initialize()).protocolVersion
                tools = [tool.name for tool in (await mcp.list_tools()).tools]
                answers = []
                for name, arguments in calls:
                    result = await mcp.call_tool(name, arguments)
                    answers.append("".join(block.text for block in result.content if block.type == "text"))
                    if result.isError:
                        raise RuntimeError(f"{name} answered with an error: {answers[-1]}")
                return {"tools": tools, "answers": answers, "protocol": protocol}


common.run(client)
