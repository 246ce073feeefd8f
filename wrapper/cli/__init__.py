"""The commands of `flask gateway`."""
