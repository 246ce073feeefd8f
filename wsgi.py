"""The app for a WSGI server: `gunicorn -c gunicorn.conf.py wsgi:app`."""

from wrapper import create_app
from wrapper.cli.commands import commands_alone
from wrapper.settings import SettingsError

try:
    app = create_app()
except SettingsError as error:
    app = commands_alone(error)
