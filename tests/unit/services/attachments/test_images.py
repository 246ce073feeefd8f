"""Which images of a request are accepted, and how others are refused."""

import base64
import io
import random
import struct
import zlib
from dataclasses import replace

import pytest
from PIL import Image as Pillow

from tests.support.pictures import FORMATS, noise, padded, picture
from wrapper.errors import ClientGone, InvalidRequest
from wrapper.notes import Notes
from wrapper.services.attachments import images
from wrapper.services.attachments.images import (
    MOST,
    MOST_SCANS,
    ImageInfo,
    check_images,
    inspect_images,
)
from wrapper.services.attachments.media import MOST_BASE64
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Document, Image

pytestmark = pytest.mark.packages


def image(data, kind="png"):
    return Image(f"image/{kind}", base64.b64encode(data).decode())


def inspect(*parts, role="user"):
    return inspect_images([ChatMessage("user", ("Look",)), ChatMessage(role, parts)])


def refusal_of(*parts):
    with pytest.raises(InvalidRequest) as caught:
        inspect(*parts)
    assert caught.value.status == 400
    return caught.value


def saved(mode, kind, size=(40, 30), **options):
    file = io.BytesIO()
    Pillow.new(mode, size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_kinds(kind):
    """Each kind of image is measured in bytes and pixels, and named by its path."""
    data = noise(kind, 60, 40)
    assert inspect("a", image(data, kind)) == (
        ImageInfo("messages.1.content.1", len(data), 60, 40),
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("jpeg", saved("CMYK", "jpeg")),
        ("jpeg", saved("RGB", "mpo", save_all=True, append_images=[Pillow.new("RGB", (4, 3))])),
        ("png", saved("I;16", "png")),
        ("png", saved("1", "png")),
        ("gif", saved("P", "gif", save_all=True, append_images=[Pillow.new("P", (40, 30), 1)])),
        ("webp", saved("RGBA", "webp", lossless=True)),
    ],
)
def test_unusual_images(kind, data):
    """Formats of cameras and animations are accepted too."""
    assert [(found.width, found.height) for found in inspect(image(data, kind))] == [(40, 30)]


def test_results():
    """An image in a tool message is marked as part of a result; others are not."""
    data = image(picture())
    assert [found.in_result for found in inspect(data, role="tool")] == [True]
    assert [found.in_result for found in inspect(data)] == [False]


def test_urls_and_files():
    """An image URL is not fetched, and a file is not an image."""
    assert inspect(Image(url="http://127.0.0.1:1/a.png"), Document("text/plain", "a")) == ()


@pytest.mark.parametrize("kind", FORMATS)
def test_broken_images(kind):
    """A truncated image is refused with its path."""
    data = noise(kind)
    for broken in (data[: len(data) // 2], data[:12], data[:-9]):
        error = refusal_of("a", image(broken, kind))
        assert (error.param, error.code) == ("messages.1.content.1.image_url.url", "invalid_image")
        assert " at 0x" not in error.message


def text_chunk(name, body):
    chunk = name + body
    return struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def bomb(megabytes):
    """Return so many megabytes of zeros, compressed one by one, as all at once take a second."""
    packer = zlib.compressobj()
    first, other = (
        packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + other * (megabytes - 1)


BOMB = bomb(100)


@pytest.mark.parametrize(
    "chunk",
    [
        text_chunk(b"tEXt", b"workflow\0" + b"x" * 3_000_000),
        text_chunk(b"zTXt", b"a\0\0" + BOMB),
        text_chunk(b"iCCP", b"a\0\0" + BOMB),
        text_chunk(b"iTXt", b"a\0\1\0\0\0" + b"not compressed"),
        text_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 400,
        b"\0\0\0\x03tEXta\0bXXXX",
    ],
)
def test_metadata(chunk):
    """A PNG's metadata may be large, compressed or wrong, since it is not read."""
    data = picture("png")
    assert inspect(image(data[:33] + chunk + data[33:]))[0].width == 30


def test_wrong_pixels():
    """A PNG whose pixels have a wrong checksum is refused."""
    data = picture("png")
    at = data.index(b"IDAT") + 6
    wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert "IDAT" in refusal_of(image(wrong)).message


def progressive(scans, side=64):
    """Return a progressive JPEG with its last scan repeated, *scans* in all."""
    file = io.BytesIO()
    pixels = random.Random(0).randbytes(side * side * 3)
    Pillow.frombytes("RGB", (side, side), pixels).save(file, "jpeg", progressive=True)
    data = file.getvalue()
    before, last = data[: data.rindex(b"\xff\xda")], data[data.rindex(b"\xff\xda") : -2]
    return before + last * (scans - before.count(b"\xff\xda")) + data[-2:]


def test_scans():
    """A JPEG may have at most 100 scans: each takes as much work as the whole image."""
    assert inspect(image(progressive(MOST_SCANS), "jpeg"))[0].width == 64
    assert f"{MOST_SCANS} is the most" in refusal_of(image(progressive(101), "jpeg")).message


def test_scans_in_metadata():
    """Bytes in a JPEG's metadata do not count as scans."""
    data = picture("jpeg")
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2002) + b"\xff\xda" * 1000
    assert inspect(image(data[:2] + thumbnail + data[2:], "jpeg"))[0].width == 30


def test_time(monkeypatch):
    """An image that takes too long to decode is refused with the limit."""
    monkeypatch.setattr(images, "SECONDS", 0.01)
    monkeypatch.setattr(images, "SECONDS_A_PIXEL", 0)
    error = refusal_of(image(progressive(60, side=500), "jpeg"))
    assert error.code == "invalid_image"
    assert "takes more than 0.01 s of CPU time" in error.message


def test_client_leaves():
    """No image is decoded after the client has left."""
    message = ChatMessage("user", (image(picture()),))
    with pytest.raises(ClientGone):
        inspect_images([message], lambda: True)


def test_corrected_files():
    """A header names files with a wrong label or checksum; STRICT_PARAMS refuses them."""
    wrong = replace(image(picture()), corrected=True)
    document = Document("text/plain", "a", corrected=True)
    messages = [ChatMessage("user", ("Look", wrong, image(picture()), document))]
    notes = check_images(messages, lambda image: False, strict=False)
    assert notes == Notes(corrected_files=("messages.0.content.1", "messages.0.content.3"))
    with pytest.raises(InvalidRequest) as caught:
        check_images(messages, lambda image: False, strict=True)
    assert caught.value.param == "messages.0.content.1"


@pytest.mark.parametrize("data", ["A", "AA AA", "ä", "AAAA\n", "====", "A" * 5])
def test_no_base64(data):
    """An image that is not base64 is refused."""
    assert refusal_of(Image("image/png", data)).code == "invalid_image"


def test_most_bytes():
    """An image may have at most 5 MiB in base64, as the API counts."""
    most = MOST_BASE64 * 3 // 4
    assert inspect(image(picture("png", size=most)))[0].size == most
    assert "5 MiB" in refusal_of(image(picture("png", size=most + 1))).message


@pytest.mark.parametrize("sides", [(8001, 1), (1, 8001)])
def test_most_pixels_a_side(sides):
    """A side may have at most 8000 pixels."""
    assert len(inspect(image(picture("png", 8000, 1)), image(picture("png", 1, 8000)))) == 2
    assert "8000" in refusal_of(image(picture("png", *sides))).message


@pytest.mark.parametrize("side", [9500, 14000])
def test_bombs(side):
    """An image that would fill the memory is refused by its header."""
    error = refusal_of(image(saved("1", "png", (side, side))))
    assert error.code == "invalid_image"


def test_most_pixels(monkeypatch):
    """The images of a request may have only so many pixels together, which bounds the work."""
    monkeypatch.setattr(images, "MOST_PIXELS", 1200)
    small = image(picture("png", 30, 20))
    assert len(inspect(small, small)) == 2
    error = refusal_of(small, small, image(picture("png", 1, 1)))
    assert error.param == "messages.1.content.2.image_url.url"


def test_most_images():
    """A request may hold 100 images and files. The next one is refused with its path."""
    many = [image(picture()), Image(url="https://x.test/a.png"), Document("text/plain", "a")] * 33
    assert len(inspect(*many, many[0])) == MOST - 66
    error = refusal_of(*many, many[0], many[1])
    assert error.param == "messages.1.content.100"
    assert "100" in error.message


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [200_000, 511_998, 512_000, 512_002])
def test_padding(kind, size):
    """The tests' own images are valid and have the wanted size."""
    assert len(padded(kind, picture(kind), size)) == size
    assert inspect(image(picture(kind, size=size), kind))[0].size == size
