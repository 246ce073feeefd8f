"""An MCP server for tests, written with the official package, whose tools ask the user."""

from __future__ import annotations

from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel, Field

server = FastMCP("asks", log_level="WARNING")


class Trip(BaseModel):
    city: str = Field(description="Where to", max_length=20)
    nights: int = Field(default=1, ge=1, le=10)
    travel_class: str = Field(default="second", json_schema_extra={"enum": ["first", "second"]})


@server.tool(description="Book a trip.")
async def book(context: Context) -> str:  # type: ignore[type-arg]
    answer = await context.elicit("Where do you go?", Trip)
    return f"{answer.action}: {answer.data!r}" if answer.action == "accept" else answer.action


@server.tool(description="Log in.")
async def log_in(context: Context) -> str:  # type: ignore[type-arg]
    return (await context.elicit_url("Log in.", "https://example.com/login", "login-1")).action


if __name__ == "__main__":
    server.run()
