"""The answers to requests that gunicorn cannot parse."""

import json
from ssl import SSLError

import pytest
from gunicorn.http import errors as http

from wrapper.routes.headers import SECURITY
from wrapper.server.malformed import error_for, response

FAULTS = [
    (http.InvalidRequestLine("x"), 400),
    (http.InvalidRequestMethod("get"), 400),
    (http.InvalidHTTPVersion((3, 0)), 505),
    (http.InvalidHeader("X"), 400),
    (http.InvalidHeaderName("X"), 400),
    (http.LimitRequestLine(9000, 4094), 414),
    (http.LimitRequestHeaders("limit"), 431),
    (http.UnsupportedTransferCoding("odd"), 501),
    (http.ExpectationFailed("coffee"), 417),
    (http.InvalidChunkSize(b"zz"), 400),
    (http.InvalidSchemeHeaders(), 400),
    (http.InvalidProxyLine("x"), 400),
    (http.ForbiddenProxyRequest("1.2.3.4"), 403),
    (http.ConfigurationProblem("x"), 404),
    (SSLError("x"), 400),
    (type("InvalidResponseHeader", (http.InvalidHeader,), {})("X"), 500),
    (KeyError("x"), 500),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=lambda value: type(value).__name__)
def test_answers(fault, status):
    """Each fault gets a complete answer in OpenAI's shape, with the headers of all answers."""
    id_, data = response(error_for(fault))
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert int(headers["Content-Length"]) == len(body)
    assert (headers["Connection"], headers["x-request-id"]) == ("close", id_)
    assert headers.items() >= SECURITY.items()


def test_messages_api():
    """Below /messages the answer has Anthropic's shape, and the id also in its header."""
    id_, data = response(error_for(http.LimitRequestHeaders("limit")), "/v1/messages")
    head, _, body = data.decode().partition("\r\n\r\n")
    error = json.loads(body)
    assert (error["type"], error["request_id"]) == ("error", id_)
    assert error["error"]["type"] == "invalid_request_error"
    assert f"\r\nrequest-id: {id_}\r\n" in head


def test_no_header_injection():
    """What a client sent cannot add a header, nor make the answer long."""
    _, data = response(error_for(http.InvalidHeader("\r\nSet-Cookie: a=b\r\n" * 1000)))
    assert b"\r\nSet-Cookie" not in data
    assert len(data) < 1500


def test_faults_of_the_gateway():
    """The client does not see the message of the gateway's own fault."""
    assert "secret" not in error_for(KeyError("secret")).message
