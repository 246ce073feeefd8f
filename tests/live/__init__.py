"""Tests on the real thing: gunicorn on a socket, the real CLI and SDK, a scripted upstream."""
