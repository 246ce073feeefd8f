"""The encoder of a response's events: the same JSON, with less work."""

import json

from wrapper.services.fronts import response_encoder
from wrapper.services.fronts.response_encoder import ResponseEncoder

REPEATED = {"instructions": "Be brief.", "tools": [{"name": "f"}], "store": False}
RESPONSE = {"id": "r", **REPEATED, "output": []}


def state(number):
    return {"type": "response.created", "sequence_number": number, "response": RESPONSE}


def delta(number, text, item="msg_1"):
    where = {"item_id": item, "output_index": 0, "content_index": 0}
    return {
        "type": "response.output_text.delta",
        "sequence_number": number,
        **where,
        "delta": text,
        "logprobs": [],
    }


def test_same_json():
    """An event says the same as without the encoder, whatever came before it."""
    encode = ResponseEncoder(REPEATED).encode
    events = [
        state(0),
        {"type": "keepalive", "sequence_number": 1},
        delta(2, "ä\n"),
        delta(3, '"'),
        delta(4, "b", "msg_2"),
        delta(5, "c"),
        state(6),
    ]
    assert [json.loads(encode(event)) for event in events] == events


def test_the_request_is_encoded_once(monkeypatch):
    """What repeats the request is encoded once, however many events carry it."""
    encoded = []

    def encode(value):
        encoded.append(json.dumps(value))
        return encoded[-1]

    monkeypatch.setattr(response_encoder, "encode", encode)
    encoder = ResponseEncoder(REPEATED)
    texts = [encoder.encode(state(number)) for number in range(3)]
    assert all(text.count('"tools"') == text.count('"instructions"') == 1 for text in texts)
    assert sum(text.count('"tools"') for text in encoded) == 1


def test_deltas_are_encoded_alone(monkeypatch):
    """A delta costs the encoding of its text alone, however long the answer is."""
    encoded = []

    def encode(value):
        encoded.append(value)
        return json.dumps(value)

    encoder = ResponseEncoder(REPEATED)
    encoder.encode(delta(0, "a"))
    monkeypatch.setattr(response_encoder, "encode", encode)
    for number in range(1, 1000):
        encoder.encode(delta(number, "b"))
    assert encoded == ["b"] * 999
