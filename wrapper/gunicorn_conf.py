"""gunicorn's settings from anywhere: `-c python:wrapper.gunicorn_conf 'wrapper:create_app()'`."""

from wrapper.server.config import configuration

globals().update(configuration())
