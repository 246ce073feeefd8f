"""HTTP requests to hosts that others choose: only to addresses that were checked."""
