"""Agno's MCP tools, 3.x, as an agent has them: a ping before each call, and one session that is never deleted."""

import common
from agno.tools.function import FunctionCall
from agno.tools.mcp import MCPTools
from agno.tools.mcp.params import StreamableHTTPClientParams


async def client(url, headers, mode, calls):
    server = StreamableHTTPClientParams(url=url, headers=headers)
    toolkit = MCPTools(
        transport="streamable-http",
        server_params=server,
        protocol_mode=mode,
        timeout_seconds=common.LIMIT_SECONDS,
    )
    async with toolkit:
        answers = []
        for name, arguments in calls:
            result = await FunctionCall(function=toolkit.functions[name], arguments=arguments).aexecute()
            if result.status != "success":
                raise RuntimeError(f"{name}: {result.error}")
            answers.append(result.result if isinstance(result.result, str) else result.result.content)
        return {"tools": list(toolkit.functions), "answers": answers, "protocol": toolkit.session.protocol_version}


common.run(client, modes=["legacy", "auto"])
