"""Who is calling: keys, and the guard that checks them."""
