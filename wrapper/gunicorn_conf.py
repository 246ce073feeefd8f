"""gunicorn's configuration, for `gunicorn -c python:wrapper.gunicorn_conf 'wrapper:create_app()'`.

This works in any directory.
"""

from wrapper.server.config import configuration

globals().update(configuration())
