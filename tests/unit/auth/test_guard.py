"""The guard: who may call, with a key and without one."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from wrapper.auth.guard import Guard, cors_origins, exposed
from wrapper.errors import InvalidApiKey, PermissionDenied
from wrapper.origins import pattern
from wrapper.routes.headers import error_headers
from wrapper.services.principal import DEFAULT, LOCAL, Principal
from wrapper.settings import Settings

KEY = "sk-right"


def check(sent=(), *, host="localhost:8000", needs_key=True, **settings):
    request = SimpleNamespace(headers=Headers(dict(sent)), host=host)
    return Guard(Settings(**settings)).check(request, needs_key)


@pytest.mark.parametrize(
    "sent",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"Authorization": f"BEARER   {KEY} "},
        {"X-Api-Key": KEY},
        {"api-key": KEY},
        {"Authorization": "Basic abc", "Api-Key": KEY},
        {"Authorization": "Basic abc", "x-api-key": KEY},
    ],
)
@pytest.mark.parametrize("host", ["localhost", "gateway.example", "10.0.0.1:80"])
def test_right_key(sent, host):
    """The right key is accepted for any host, in each of its headers."""
    assert check(sent, host=host, api_key=KEY) == DEFAULT


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY.upper()}"},
        {"Authorization": "Bearer wrong", "x-api-key": KEY},
        {"Authorization": "Bearer \xff\xfe"},
        {"x-api-key": "wrong"},
        {"Cookie": f"api_key={KEY}"},
    ],
)
def test_wrong_key(sent):
    """A missing or wrong key is refused with 401, and the message does not repeat it."""
    with pytest.raises(InvalidApiKey) as caught:
        check(sent, api_key=KEY)
    assert error_headers(caught.value) == {"WWW-Authenticate": "Bearer"}
    assert KEY not in caught.value.message


@given(st.text(st.characters(max_codepoint=255)))
def test_no_other_key(sent):
    """Any other header value is refused and never echoed."""
    assume(sent.strip() != KEY and not set(sent) & set("\r\n"))
    with pytest.raises(InvalidApiKey) as caught:
        check({"Authorization": f"Bearer {sent}"}, api_key=KEY)
    assert len(caught.value.message) < 120


def test_message_tells_missing_from_wrong():
    """The message says whether there was no key or a wrong one."""
    with pytest.raises(InvalidApiKey, match="no API key"):
        check(api_key=KEY)
    with pytest.raises(InvalidApiKey, match="wrong"):
        check({"x-api-key": "other"}, api_key=KEY)


def test_where_no_key_is_needed():
    """A route that needs no key is served without one, for any host."""
    assert check(host="gateway.example", needs_key=False, api_key=KEY) is None


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "app.localhost"]
)
def test_local_host(host):
    """Without a key, requests for a local host name are accepted."""
    assert check(host=host) == LOCAL


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8000", "10.0.0.1", "0.0.0.0", "[::1", "localhost."]
)
@pytest.mark.parametrize("needs_key", [True, False])
def test_foreign_host(host, needs_key):
    """Without a key, a foreign host name is refused: it may be DNS rebinding."""
    with pytest.raises(PermissionDenied):
        check(host=host, needs_key=needs_key)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5"])
def test_local_origin(origin):
    """Without a key, web pages of this machine may call."""
    assert check({"Origin": origin}) == LOCAL


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://localhost.evil.example", "http://[::1"]
)
def test_foreign_origin(origin):
    """Without a key, other web pages are refused."""
    with pytest.raises(PermissionDenied):
        check({"Origin": origin})


def test_listed_origin():
    """Without a key, a listed origin may call, and only exactly that one."""
    origins = ("https://app.example",)
    assert check({"Origin": "https://app.example"}, cors_origins=origins) == LOCAL
    with pytest.raises(PermissionDenied):
        check({"Origin": "https://app.example:444"}, cors_origins=origins)


def test_star_lists_no_origin():
    """Without a key, `*` admits no foreign page."""
    with pytest.raises(PermissionDenied):
        check({"Origin": "https://evil.example"}, cors_origins=("*",))


def test_key_makes_origins_irrelevant():
    """With the key, any web page may call."""
    assert check({"Origin": "https://a.example", "x-api-key": KEY}, api_key=KEY) == DEFAULT


@pytest.mark.parametrize(
    ("binds", "first"),
    [
        (["127.0.0.1:8000"], None),
        (["localhost:8000", "[::1]:8000", "unix:/run/gateway.sock"], None),
        ([], None),
        (["0.0.0.0:8000"], "0.0.0.0:8000"),
        (["[::]:8000"], "[::]:8000"),
        ([":8000"], ":8000"),
        (["fd://3"], "fd://3"),
        (["127.0.0.1:1", "10.0.0.1:1", "0.0.0.0:1"], "10.0.0.1:1"),
    ],
)
def test_exposed(binds, first):
    """Without a key, the first bind that other machines can reach is returned."""
    assert exposed(binds, Settings()) == first
    assert exposed(binds, Settings(api_key=KEY)) is None


@pytest.mark.parametrize(
    ("origins", "key", "allowed"),
    [
        ((), "", []),
        (("*",), "", []),
        (("none",), "", []),
        ((), KEY, "*"),
        (("*",), KEY, "*"),
        (("https://a.example", "*"), KEY, "*"),
        (("none",), KEY, []),
    ],
)
def test_cors_origins(origins, key, allowed):
    """By default all origins get CORS headers with a key, and none without one."""
    assert cors_origins(Settings(cors_origins=origins, api_key=key)) == allowed


@pytest.mark.parametrize("key", ["", KEY])
def test_listed_cors_origins(key):
    """Listed origins get CORS headers with a key and without."""
    patterns = cors_origins(Settings(cors_origins=("https://a.example",), api_key=key))
    assert [each.pattern for each in patterns if isinstance(each, re.Pattern)] == [
        pattern("https://a.example").pattern
    ]


@pytest.mark.parametrize("site", ["none", "same-origin", "same-site", "anything"])
def test_local_pages(site):
    """Without a key, requests of local pages and of the browser itself are accepted."""
    assert check({"Sec-Fetch-Site": site}) == LOCAL


def test_cross_site():
    """Without a key, a cross-site request without an Origin is refused."""
    with pytest.raises(PermissionDenied):
        check({"Sec-Fetch-Site": "cross-site"})
    assert check({"Sec-Fetch-Site": "cross-site", "x-api-key": KEY}, api_key=KEY) == DEFAULT


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "https://app.example"])
def test_cross_site_by_name(origin):
    """Without a key, a cross-site request of a local or listed page is accepted."""
    sent = {"Sec-Fetch-Site": "cross-site", "Origin": origin}
    assert check(sent, cors_origins=("https://app.example",)) == LOCAL


class Keys:
    """Keys that are not in a file."""

    def __init__(self, **holders):
        self.holders = {secret.encode(): Principal(name) for name, secret in holders.items()}

    def find(self, sent):
        return self.holders.get(sent)

    def named(self, name):
        known = {holder.name: (holder, repr(key)) for key, holder in self.holders.items()}
        return known.get(name)


def ask(guard, sent, needs_key=True, host="gateway.example"):
    return guard.check(SimpleNamespace(headers=Headers(sent), host=host), needs_key)


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_whose_key(settings):
    """Each key of the file identifies its holder, and API_KEY stays valid."""
    guard = Guard(Settings(**settings), Keys(alice="sk-a", bob="sk-b"))
    assert ask(guard, {"x-api-key": "sk-a"}).name == "alice"
    assert ask(guard, {"Authorization": "Bearer sk-b"}).name == "bob"
    assert ask(guard, {}, needs_key=False) is None
    for wrong in ({}, {"x-api-key": "sk-c"}, {"x-api-key": ""}):
        with pytest.raises(InvalidApiKey):
            ask(guard, wrong)
    if settings:
        assert ask(guard, {"x-api-key": KEY}).name == "default"


def test_sole_or_one_of_several():
    """The holder of API_KEY shares the working directory once there are other keys."""
    alone, among = Guard(Settings(api_key=KEY)), Guard(Settings(api_key=KEY), Keys(alice="sk-a"))
    assert not ask(alone, {"x-api-key": KEY}).shares
    assert ask(among, {"x-api-key": KEY}).shares


def test_own_authentication():
    """An app's own authentication replaces all keys, and the checks without one."""
    principals = {"session=1": Principal("carol")}
    guard = Guard(
        Settings(api_key=KEY),
        authenticate=lambda request: principals.get(request.headers.get("Cookie")),
    )
    assert ask(guard, {"Cookie": "session=1"}).name == "carol"
    assert ask(guard, {"Origin": "https://evil.example"}, needs_key=False) is None
    for unknown in ({"Cookie": "session=2"}, {"x-api-key": KEY}, {}):
        with pytest.raises(InvalidApiKey):
            ask(guard, unknown)
