"""Web origins, as a setting names them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.origins import pattern, patterns

MATCHES = [
    ("https://app.example", "https://app.example"),
    ("https://APP.example", "https://app.EXAMPLE"),
    ("https://app.example:443", "https://app.example"),
    ("http://localhost:3000", "http://localhost:3000"),
    ("http://localhost:*", "http://localhost:3000"),
    ("http://localhost:*", "http://localhost"),
    ("http://[::1]:3000", "http://[::1]:3000"),
    ("http://[::1]:*", "http://[::1]:5"),
    ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("https://*.example.com", "https://sub.example.com"),
    ("https://*.example.com:*", "https://a-b.example.com:8443"),
    ("http://*.localhost:3000", "http://app.localhost:3000"),
    ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ("app://obsidian.md", "app://obsidian.md"),
]
DIFFERS = [
    ("https://app.example", "http://app.example"),
    ("https://app.example", "https://app.example:444"),
    ("https://app.example", "https://app.example.evil.test"),
    ("https://app.example", "https://evil.test/https://app.example"),
    ("https://app.example", "https://appxexample"),
    ("https://app.example", "https://app.example\n"),
    ("https://*.example.com", "https://xexample.com.evil.test"),
    ("https://*.example.com", "https://xexample.com"),
    ("https://*.example.com", "https://example.com"),
    ("https://*.example.com", "https://.example.com"),
    ("https://*.example.com", "https://a.b.example.com"),
    ("https://*.example.com", "https://a@sub.example.com"),
    ("https://*.example.com", "https://evil.test#.example.com"),
    ("https://*.example.com", "https://subxexample.com"),
    ("http://localhost:*", "http://localhost:3000.evil.test"),
    ("http://localhost:*", "http://localhost:"),
    ("http://localhost:*", "http://localhost.evil.test:1"),
    ("http://[::1]:3000", "http://:3000"),
]
MISTAKES = [
    *("https://app.example/", "https://app.example/path", "app.example", "//app.example"),
    *("https://", "https://*", "https://*:443", "*.example.com", "https://a.*.example.com"),
    *("https://pre*.example.com", "https://**.example.com", "*://app.example", "null", ""),
    *("https://user@app.example", "https://app.example:99999", "https://app.example:port"),
    *("https://b\u00fccher.example", "https://app.example?x", ".*", "^https://app.example$"),
    *("https://app .example", "https://(a|b).example", "https://a..example", "http://[::1"),
]


@pytest.mark.parametrize(("setting", "origin"), MATCHES)
def test_matches(setting, origin):
    """A pattern matches origins as browsers write them, in any case."""
    assert pattern(setting).match(origin)


@pytest.mark.parametrize(("setting", "origin"), DIFFERS)
def test_differs(setting, origin):
    """A pattern matches no similar origin."""
    assert not pattern(setting).match(origin)


@pytest.mark.parametrize("setting", MISTAKES)
def test_mistakes(setting):
    """An invalid origin is refused, and the message says what to write."""
    with pytest.raises(ValueError, match=r"write scheme://host"):
        pattern(setting)


def test_all_and_none():
    """`*` and `none` are no origins."""
    assert patterns(("*", "none")) == []


@given(st.text(st.sampled_from("ab.*:/[]()?+^$|\\-0"), max_size=12))
def test_nothing_is_a_regular_expression(text):
    """No character of a setting but `*` is special."""
    try:
        compiled = pattern(f"https://{text}")
    except ValueError:
        return
    if "*" not in text:
        origin = re.sub(r":0*443$", "", text)
        assert compiled.match(f"https://{origin}")
        assert not compiled.match(f"https://{origin}x")
