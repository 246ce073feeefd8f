"""What an agent may do: permission rules, confinement and read-only commands."""
