"""Connect the MCP servers of a turn: what Claude Code is asked, and what its answers mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wrapper.errors import McpServerFailed
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.frames import Frame, control
from wrapper.services.claude.protocol.mcp_server import SERVER, mcp_functions
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import Finding
from wrapper.services.turn import Turn

# The ids of the requests whose content or answer has the servers' secrets.
CONNECT, STATUS = "mcp_set_servers", "mcp_status"
# How many tools all servers of a turn may offer. The model's API has its own, higher limit.
MOST_TOOLS = 128
# A server that floods Claude Code keeps it from noticing its own timeout.
SPARE_SECONDS = 3.0
LONGEST_DETAILS = 300
# What Claude Code's errors mean, the first that fits; anyone may see it.
_MEANINGS = (
    (re.compile(r"timed out"), "it did not connect in time (MCP_TIMEOUT)"),
    (re.compile(r"posix_spawn|ENOENT|EACCES"), "its command cannot be run"),
    (re.compile(r"ECONNREFUSED"), "nothing listens at its address (ECONNREFUSED)"),
    (re.compile(r"ENOTFOUND|EAI_AGAIN"), "its host name has no address"),
    (re.compile(r"\b40[13]\b|[Uu]nauthorized|[Ff]orbidden|needs-auth"), "it refused the login"),
    (re.compile(r"Connection closed"), "it ended, or closed the connection"),
)
NO_ANSWER = Finding(
    error="it did not connect in time (MCP_TIMEOUT)", details="Claude Code did not answer"
)

ASK_STATUS = control(STATUS, {"subtype": "mcp_status"})
POLL_SECONDS = 0.01

Record = Callable[[McpServer, Finding], None]


def connect_request(servers: Sequence[McpServer], *, functions: bool = False) -> Frame:
    """Return the request that makes *servers* the only ones of a process.

    It replaces the whole set, so that it also names the one that offers the client's *functions*.
    """
    configs: Frame = {
        server.name: _through_gateway(server.name) if server.brought else dict(server.config)
        for server in servers
    }
    if functions:
        configs[SERVER] = _through_gateway(SERVER)
    return {"subtype": "mcp_set_servers", "servers": configs}


def read_findings(servers: Sequence[McpServer], status: Mapping[str, Any]) -> dict[str, Finding]:
    """Return by name what the answer to mcp_status says of *servers*."""
    rows = {row.get("name"): row for row in _rows(status)}
    return {server.name: _finding(server, rows.get(server.name, {})) for server in servers}


def without_secrets(frame: Frame) -> Frame:
    """Return *frame* for the log, without what it may say of servers' configurations."""
    response = frame.get("response")
    ids = (frame.get("request_id"), (response or {}).get("request_id"))
    if CONNECT in ids or STATUS in ids:
        return {"type": frame["type"], "request_id": next(filter(None, ids))}
    return frame


class McpConnection:
    """Connects the servers of *turn* within `seconds`, and narrows the turn to usable tools.

    *record* gets what was found of each server. *asks* are the rules that make Claude Code ask
    before it uses other tools: new settings replace them.
    """

    def __init__(self, turn: Turn, timeout: float, record: Record, asks: Sequence[str] = ()):
        self._turn = turn
        self._record = record
        self._asks = asks
        self.seconds = timeout + SPARE_SECONDS
        self.brought = [server for server in turn.mcp_servers if server.brought]

    @property
    def requests(self) -> list[Frame]:
        """Return the control requests that connect the servers and ask how they fare.

        A process that had a caller's server before asks for its tools again only if the server was
        gone in between.
        """
        functions = bool(mcp_functions(self._turn))
        servers = self._turn.mcp_servers
        own = [server for server in servers if not server.brought]
        sets = [own, servers] if self.brought else [servers]
        connect = [connect_request(each, functions=functions) for each in sets]
        return [*(control(CONNECT, request) for request in connect), ASK_STATUS]

    def is_pending(self, answers: Mapping[str, Any]) -> bool:
        """Say whether Claude Code is still to list the tools of a server that the caller brings.

        It answers before it has asked such a server, and after it has connected all others.
        """
        names = {server.name for server in self.brought}
        return any(
            row.get("name") in names and row.get("status") == "pending"
            for row in _rows(answers.get(STATUS) or {})
        )

    def settings(self, answers: Mapping[str, Any]) -> list[Frame]:
        """Return the turn's settings, by the *answers* to the requests.

        Raises McpServerFailed if a server cannot be used.
        """
        servers = self._turn.mcp_servers
        findings = read_findings(servers, answers.get(STATUS) or {})
        for server in servers:
            if not server.brought:
                self._record(server, findings[server.name])
        for server in servers:
            if findings[server.name].error:
                raise _failure(server, findings[server.name])
        permissions = self._turn.permissions
        hidden = [*_hidden(servers, findings)]
        _check_number(servers, findings, {*permissions.deny, *hidden})
        asked = [*_asked(servers, findings)]
        permissions = replace(
            permissions,
            deny=(*permissions.deny, *hidden),
            ask=(*self._asks, *asked) if asked else (),
        )
        return frames.settings(replace(self._turn, permissions=permissions))

    def give_up(self) -> McpServerFailed:
        """Return the error for a process that does not answer in time."""
        servers = self._turn.mcp_servers
        if len(servers) == 1 and not servers[0].brought:
            self._record(servers[0], NO_ANSWER)
        names = ", ".join(repr(server.name) for server in servers)
        one_of = "" if len(servers) == 1 else "one of "
        return McpServerFailed(
            f"The MCP server cannot be used: {one_of}{names} did not connect in time "
            "(MCP_TIMEOUT).",
            retry=False,
        )


def _rows(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the servers in the answer to mcp_status."""
    listed = status.get("mcpServers")
    for row in listed if isinstance(listed, list) else ():
        if isinstance(row, dict):
            yield row


def _through_gateway(name: str) -> Frame:
    """Return the configuration of a server that Claude Code asks through its pipes."""
    return {"type": "sdk", "name": name}


def _finding(server: McpServer, row: Mapping[str, Any]) -> Finding:
    tools = tuple(_tool_names(row.get("tools")))
    if row.get("status") != "connected":
        text = str(row.get("error") or row.get("status") or "it is missing in the answer")
        meaning = next((says for fits, says in _MEANINGS if fits.search(text)), "it failed")
        details = server.without_secrets(text)[:LONGEST_DETAILS]
        return Finding(error=meaning, details=f"Claude Code says: {details}")
    if not tools:
        return Finding(error="it offers no tools", details="it connected")
    return Finding(tools)


def _tool_names(rows: Any) -> Iterator[str]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            yield row["name"]


def _hidden(servers: Sequence[McpServer], findings: Mapping[str, Finding]) -> Iterator[str]:
    """Yield the names of tools that may not be used: denied, they are not in the model's list."""
    for server in servers:
        for tool in findings[server.name].tools:
            if not server.permits(tool):
                yield server.tool_name(tool)


def _asked(servers: Sequence[McpServer], findings: Mapping[str, Finding]) -> Iterator[str]:
    """Yield the names of tools whose calls the client must approve."""
    for server in servers:
        for tool in findings[server.name].tools:
            if server.needs_approval(tool):
                yield server.tool_name(tool)


def _check_number(
    servers: Sequence[McpServer], findings: Mapping[str, Finding], denied: set[str]
) -> None:
    offered = {
        server.name: sum(
            server.tool_name(tool) not in denied for tool in findings[server.name].tools
        )
        for server in servers
    }
    if sum(offered.values()) > MOST_TOOLS:
        name = max(offered, key=lambda name: offered[name])
        rule = next(server.rule for server in servers if server.name == name)
        raise McpServerFailed(
            f"The MCP server {name!r} offers {offered[name]} tools, and all servers of a request "
            f"may offer {MOST_TOOLS}; name those that you need in claude.allowed_tools "
            f"({rule}__TOOL).",
            retry=False,
        )


def _failure(server: McpServer, finding: Finding) -> McpServerFailed:
    what = f"The MCP server {server.name!r} cannot be used: {finding.error}."
    return McpServerFailed(what, retry=False, details=f"{what} {finding.details}")
