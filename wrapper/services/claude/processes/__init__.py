"""Claude Code's processes: started, warmed up, lent to turns, and stopped."""
