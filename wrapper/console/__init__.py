"""The web console: pages for people, rendered on the server from what the services return."""
