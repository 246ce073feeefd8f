"""The workers of a gateway: they show each other what they do, and stop each other's turns."""
