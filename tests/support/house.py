"""An app of somebody else, with a gateway in it, for any server: tests.support.house:app."""

from __future__ import annotations

from flask import Flask

from wrapper import Gateway
from wrapper.routes import principal, reply

app = Flask(__name__)
gateway = Gateway()


@gateway.blueprint.get("/whoami")
def tell():
    return reply({"name": principal().name})


@app.get("/")
def home():
    return "A page of the house."


gateway.init_app(app)
