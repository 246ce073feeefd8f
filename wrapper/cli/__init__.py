"""The commands of `flask --app wsgi gateway`."""
