"""What keeps an agent's commands apart from the gateway and from each other."""
