"""Claude Code's processes: they are booted, warmed up, leased to turns, parked and stopped."""
