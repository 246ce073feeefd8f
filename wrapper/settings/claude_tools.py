"""The names of Claude Code's tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrapper.settings import spelling

# The tools of the agent profile by default.
TOOLS = ("Read", "Write", "Edit", "Bash", "Glob", "Grep", "WebFetch", "WebSearch")
# All tools of Claude Code 2.1, also those that a version or a platform lacks. `default` in
# CLAUDE_TOOLS is Claude Code's word for all of them.
ALL_TOOLS = (
    *TOOLS,
    *("Agent", "AskUserQuestion", "BashOutput", "CronCreate", "CronDelete", "CronList"),
    *("EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "KillShell", "LS", "LSP"),
    *("ListMcpResourcesTool", "Monitor", "MultiEdit", "NotebookEdit", "NotebookRead"),
    *("PowerShell", "PushNotification", "REPL", "ReadMcpResourceDirTool", "ReadMcpResourceTool"),
    *("RemoteTrigger", "ReportFindings", "ScheduleWakeup", "SendMessage", "SendUserFile"),
    *("SendUserMessage", "Skill", "SlashCommand", "StructuredOutput", "Task", "TaskCreate"),
    *("TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TeamCreate", "TeamDelete"),
    *("TodoWrite", "ToolSearch", "Workflow", "default"),
)
# Tools of MCP servers, which have names of their own.
_MCP = re.compile(r"mcp__.+")
_RULES = re.compile(r"(?P<tool>[^\s,()]+)(?P<pattern>\([^)]*\))?")


def unknown(names: tuple[str, ...]) -> str | None:
    """Return which of *names* are no tools, or None. Claude Code would ignore them."""
    strange = [name for name in names if name not in ALL_TOOLS and not _MCP.fullmatch(name)]
    if not strange:
        return None
    hint = spelling.did_you_mean(strange, ALL_TOOLS)
    return f"Claude Code has no tool {', '.join(strange)[:200]}{hint or '; names are as in Read'}"


def tools_of_rules(text: str) -> Iterator[str]:
    """Yield the name of the tool of each permission rule in *text*."""
    for rule in _RULES.finditer(text):
        if rule["tool"] != "*":
            yield rule["tool"]
