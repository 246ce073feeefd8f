"""gunicorn: its settings, its worker, and what that does with sockets."""
