"""Work beside the requests: child processes, periodic tasks, and the watchdog."""
