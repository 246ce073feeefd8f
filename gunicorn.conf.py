"""gunicorn's settings, for `gunicorn -c gunicorn.conf.py wsgi:app`; wrapper.server has them."""

from wrapper.server import configuration

globals().update(configuration())
