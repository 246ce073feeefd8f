"""What a request took and used, for headers, metrics and signals."""
