"""Images and files in messages: what is checked of them before the model gets them."""
