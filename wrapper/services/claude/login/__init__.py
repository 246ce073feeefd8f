"""Where Claude Code finds the model's API, and who it is there."""
