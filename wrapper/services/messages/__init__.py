"""The messages of a conversation, and the forms in which the model gets them."""
