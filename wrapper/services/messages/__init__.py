"""Messages of a conversation, and their conversion for the model's API."""
