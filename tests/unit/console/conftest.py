"""What all tests of the console share."""

from __future__ import annotations

import pytest
from flask import Flask
from jinja2 import StrictUndefined


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    """Make each app's templates strict, as an app around the console may do."""
    monkeypatch.setattr(Flask, "jinja_options", {"undefined": StrictUndefined})
