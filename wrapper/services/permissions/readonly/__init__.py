"""Read-only commands: which shell commands an agent may run where nothing else confines them."""
