"""Read-only commands: the shell commands that an agent may run if nothing else confines them."""
