"""gunicorn's settings, for `gunicorn -c gunicorn.conf.py wsgi:app`. See wrapper.server.config."""

from wrapper.server.config import configuration

globals().update(configuration())
