"""What was spent: kept by key, model and day, across restarts."""
