"""gunicorn's configuration, for `gunicorn -c gunicorn.conf.py wsgi:app`."""

from wrapper.server.config import configuration

globals().update(configuration())
