"""Images and files in messages, checked before the model gets them."""
