"""The app for a WSGI server: `gunicorn -c gunicorn.conf.py wsgi:app`."""

from wrapper import create_app

app = create_app()
