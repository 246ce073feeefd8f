"""What a turn sends to its process: the configuration, the history and the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.trials.text_checks import LOCAL_COMMANDS
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.approved_calls import ApprovedCalls
from wrapper.services.claude.protocol.content_blocks import names_of
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.claude.protocol.history import history
from wrapper.services.claude.protocol.mcp_connection import McpConnection, Record
from wrapper.services.claude.protocol.mcp_server import FunctionServer, mcp_functions
from wrapper.services.claude.protocol.permission_prompt import ASKED, PermissionServer
from wrapper.services.claude.protocol.subagent_usage import SubagentUsage
from wrapper.services.claude.protocol.tool_uses import ToolUses
from wrapper.services.tools.mcp import find_asked
from wrapper.services.turn import Turn


@dataclass(frozen=True)
class Setup:
    """What is sent to a process, in this order: `requests`, `history` and `prompt`.

    The turn's `servers`, if it has any, are connected after the requests, and the turn's settings
    follow from what they offer. The `approved` calls run before the prompt is sent. `functions` and
    `permissions` answer Claude Code's own control requests. `state` has the settings that the
    process keeps. `tool_uses` and `subagents` follow what the process then writes.
    """

    requests: Sequence[Frame]
    history: Iterable[tuple[Frame, bool]]
    prompt: Frame
    functions: FunctionServer = field(default_factory=lambda: FunctionServer(()))
    permissions: PermissionServer = field(default_factory=lambda: PermissionServer(""))
    state: ProcessState = field(default_factory=ProcessState)
    servers: McpConnection | None = None
    tool_uses: ToolUses = field(default_factory=ToolUses)
    approved: ApprovedCalls = field(default_factory=lambda: ApprovedCalls(Turn("", ()), {}))
    subagents: SubagentUsage = field(default_factory=SubagentUsage)

    def follow(self, frame: Frame) -> None:
        """Take note of what *frame*, which the process has written, says of tools and usage."""
        self.tool_uses.read(frame)
        self.subagents.read(frame)


def set_up(lease: Lease, turn: Turn, record: Record = lambda server, finding: None) -> Setup:
    """Return what *turn* sends to the process of its *lease*.

    A process that had turns before gets only what changed and the messages that it does not know.
    *record* gets what is found of each MCP server of the turn.
    """
    process, before = lease.process, lease.state
    if process.initialized:  # a late system prompt is refused together with some aliases
        turn = replace(turn, model=process.full_model_name(turn.model))
    settings = frames.settings(turn, first_party=process.profile.first_party)
    servers = _servers(lease, turn, record)
    requests = _requests(lease, turn, () if servers else settings)
    before = before or ProcessState()
    state = replace(before, settings=tuple(settings))
    quick = process.qualification.passed(LOCAL_COMMANDS)
    earlier = history(turn, len(before.known), local_commands=quick)
    prompt = frames.prompt(turn)
    return Setup(
        requests,
        earlier,
        prompt,
        FunctionServer(mcp_functions(turn)),
        _permissions(lease, turn),
        state,
        servers,
        ToolUses(names_of(turn), partial(find_asked, turn.mcp_servers)),
        ApprovedCalls(turn, prompt),
    )


def _servers(lease: Lease, turn: Turn, record: Record) -> McpConnection | None:
    """Return the connection to the turn's MCP servers, whose settings are sent once they are up."""
    if not turn.mcp_servers:
        return None
    profile = lease.process.profile
    return McpConnection(turn, profile.mcp_timeout, record, ASKED if profile.reads_only else ())


def _requests(lease: Lease, turn: Turn, settings: Sequence[Frame]) -> Sequence[Frame]:
    """Return the control requests that make the process fit for *turn*, with *settings*."""
    process, before = lease.process, lease.state
    if before is not None:
        return frames.reconfiguration(turn, settings, process.profile.mode, before.settings)
    return frames.configuration(
        turn,
        settings,
        lease.workspace,
        initialized=process.initialized,
        additions=process.profile.additions,
    )


def _permissions(lease: Lease, turn: Turn) -> PermissionServer:
    return PermissionServer(
        lease.workspace or lease.process.directory,
        reads_only=lease.process.profile.reads_only,
        approvable=turn.permissions.approvable if turn.approver else "nothing",
        find_asked=partial(find_asked, turn.mcp_servers),
    )
