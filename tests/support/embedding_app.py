"""A Flask app that embeds a gateway, for any WSGI server: tests.support.embedding_app:app."""

from __future__ import annotations

from flask import Flask

from wrapper import Gateway
from wrapper.routes import principal, reply

app = Flask(__name__)
gateway = Gateway()


@gateway.blueprint.get("/whoami")
def whoami():
    return reply({"name": principal().name})


@app.get("/")
def home():
    return "The home page of the app."


gateway.init_app(app)
