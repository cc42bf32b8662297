"""LangChain's MCP adapter: the 1.x SDK, legacy protocol only, a new session for every call."""

import common
from langchain_mcp_adapters.client import MultiServerMCPClient


async def client(url, headers, _mode, calls):
    connection = {"transport": "streamable_http", "url": url, "headers": headers}
    langchain = MultiServerMCPClient({"keyrack": connection}, handle_tool_errors=False)
    # Not get_server_info(), whose error hides what the server answered.
    async with langchain.session("keyrack", auto_initialize=False) as session:
        protocol = (await session.initialize()).protocolVersion
    tools = {tool.name: tool for tool in await langchain.get_tools()}
    answers = []
    for name, arguments in calls:
        if name not in tools:
            raise RuntimeError(f"no tool named {name} among {sorted(tools)}")
        blocks = await tools[name].ainvoke(arguments)
        answers.append(blocks if isinstance(blocks, str) else "".join(block.get("text", "") for block in blocks))
    return {"tools": list(tools), "answers": answers, "protocol": protocol}


common.run(client)
