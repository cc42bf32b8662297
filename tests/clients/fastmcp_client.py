"""FastMCP's client, 4.x: asks for the newest protocol first, or never."""

import common
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport


async def client(url, headers, mode, calls):
    async with Client(StreamableHttpTransport(url, headers=headers), mode=mode, timeout=common.LIMIT_SECONDS) as mcp:
        tools = [tool.name for tool in await mcp.list_tools()]
        answers = []
        for name, arguments in calls:
            result = await mcp.call_tool(name, arguments)
            answers.append("".join(block.text for block in result.content if block.type == "text"))
        return {"tools": tools, "answers": answers, "protocol": mcp.protocol_version}


common.run(client, modes=["auto", "legacy"])
