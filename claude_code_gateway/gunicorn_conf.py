"""gunicorn's configuration, which works in any directory.

gunicorn -c python:claude_code_gateway.gunicorn_conf 'claude_code_gateway:create_app()'
"""

from wrapper.server.config import configuration

globals().update(configuration())
