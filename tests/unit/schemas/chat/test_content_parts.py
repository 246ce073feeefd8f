"""Content parts: what each type is loaded to, and how unusable ones are refused."""

import base64
import tracemalloc
from urllib.parse import quote

import pytest
from marshmallow import ValidationError

from tests.support.pictures import FORMATS, picture
from wrapper.schemas.base import code_of, first_error
from wrapper.schemas.chat.content_parts import LONGEST_URL, load_part
from wrapper.services.attachments.media import MOST_CHUNKS, MOST_ESCAPES, normal_base64
from wrapper.services.turn import Document, Image

PDF = b"%PDF-1.4 and so on"


def b64(data):
    return base64.b64encode(data).decode()


def load(kind, value):
    return load_part(0, {"type": kind, kind: value})


def mistake_in(kind, value):
    """Return the path below the part, and the code, of the mistake."""
    with pytest.raises(ValidationError) as caught:
        load(kind, value)
    param, message = first_error(caught.value.normalized_messages())
    return param.removeprefix("0."), code_of(message)


@pytest.mark.parametrize(
    ("url", "image"),
    [
        ("https://x.test/a.png?b=c#d", Image(url="https://x.test/a.png?b=c#d")),
        ("HTTP://127.0.0.1:1/", Image(url="HTTP://127.0.0.1:1/")),
        ("data:image/png;base64,QUJD", Image("image/png", "QUJD")),
        ("DATA:IMAGE/JPG;BASE64,QUJD", Image("image/jpeg", "QUJD")),
        ("data:image/webp;x=y;base64,QUJD", Image("image/webp", "QUJD")),
    ],
)
def test_images(url, image):
    """An image is a data URI, whose data is unchanged, or a URL."""
    assert load("image_url", {"url": url, "detail": "high", "x": 1}) == image


@pytest.mark.parametrize(
    ("value", "path", "code"),
    [
        ("https://x.test/a.png", "", "invalid_type"),
        ({}, ".url", "invalid_type"),
        ({"url": None}, ".url", "invalid_type"),
        *(
            ({"url": url}, ".url", "invalid_image_url")
            for url in (
                *("", "a.png", "/etc/passwd", "file:///etc/passwd", "ftp://x.test/a.png"),
                *("http://", "https:///a.png", "http://[", "http://x.test/a b", "http://x.test/\n"),
                *("data:", "data:image/png;base64", "data:image/png,QUJD"),
            )
        ),
        ({"url": "data:image/svg+xml;base64,QUJD"}, ".url", "invalid_image"),
        ({"url": "data:;base64,QUJD"}, ".url", "invalid_image"),
        ({"url": "data:application/pdf;base64,QUJD"}, ".url", "invalid_image"),
    ],
)
def test_wrong_images(value, path, code):
    """An image part without a usable image is refused by its path."""
    assert mistake_in("image_url", value) == (f"image_url{path}", code)


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (f"data:application/pdf;base64,{b64(PDF)}", Document("application/pdf", b64(PDF), "n")),
        (b64(PDF), Document("application/pdf", b64(PDF), "n")),
        (f"data:text/csv;base64,{b64('ä,b'.encode())}", Document("text/plain", "ä,b", "n")),
        ("data:text/plain;charset=utf-8,a%20b", Document("text/plain", "a b", "n")),
        ("a text, as it is", Document("text/plain", "a text, as it is", "n")),
        ("QUJD", Document("text/plain", "QUJD", "n")),
    ],
)
def test_files(data, document):
    """A file is a PDF or a text, as a data URI or as bare data."""
    assert load("file", {"file_data": data, "filename": "n", "file_id": None}) == document


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (f"data:text/plain;base64,{b64(PDF)}", Document("application/pdf", b64(PDF))),
        (f"data:;base64,{b64(PDF)}", Document("application/pdf", b64(PDF))),
        (f"data:application/pdf;base64,{b64(b'a text')}", Document("text/plain", "a text")),
    ],
)
def test_files_of_another_type(data, document):
    """A file's type follows from its bytes; a label that differs is recorded as corrected."""
    loaded = load("file", {"file_data": data})
    assert (loaded, loaded.corrected) == (document, True)


@pytest.mark.parametrize("label", ["application/json", "application/octet-stream", "", "text/csv"])
def test_text_files(label):
    """A text file is accepted under any label."""
    loaded = load("file", {"file_data": f"data:{label};base64,{b64(b'[1]')}"})
    assert (loaded, loaded.corrected) == (Document("text/plain", "[1]"), False)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("label", ["image/bmp", "application/octet-stream", "", "image/png "])
def test_images_of_another_type(kind, label):
    """An image's type follows from its bytes; a label that differs is recorded as corrected."""
    data = b64(picture(kind))
    loaded = load("image_url", {"url": f"data:{label};base64,{data}"})
    right = label.strip() == f"image/{kind}"
    assert (loaded, loaded.corrected) == (Image(f"image/{kind}", data), not right)


def test_pdf_as_image():
    """A PDF in an image part is loaded as a document."""
    loaded = load("image_url", {"url": f"data:application/pdf;base64,{b64(PDF)}"})
    assert (loaded, loaded.corrected) == (Document("application/pdf", b64(PDF)), False)


@pytest.mark.parametrize(
    "write",
    [
        base64.encodebytes,
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(data).rstrip(b"="),
        lambda data: b" " + base64.b64encode(data) + b"\r\n",
        lambda data: quote(base64.b64encode(data), safe="").encode(),
        lambda data: base64.b64encode(data) + b"==",
    ],
)
@pytest.mark.parametrize("size", [500, 501, 502])
def test_base64_of_any_style(write, size):
    """Base64 is accepted in any common style, and normalized."""
    data = picture("jpeg", size=len(picture("jpeg")) + size)
    text = write(data).decode()
    url = f"data:image/jpeg;base64,{text}"
    assert load("image_url", {"url": url}) == Image("image/jpeg", b64(data))
    pdf = PDF + data
    for sent in (write(pdf).decode(), f"data:application/pdf; base64, {write(pdf).decode()}"):
        assert load("file", {"file_data": sent}) == Document("application/pdf", b64(pdf))


@pytest.mark.parametrize("uri", ["data:image/png,{}", "data:image/png;base64,{}"])
def test_percent_encoding_is_bounded(uri):
    """Percent-encoding is bounded: more is refused before it is decoded."""
    where = mistake_in("image_url", {"url": uri.format("%41" * (MOST_ESCAPES + 1))})
    assert where == ("image_url.url", "invalid_image")
    data = "data:text/plain,{}".format("%41" * (MOST_ESCAPES + 1))
    assert mistake_in("file", {"file_data": data}) == ("file.file_data", "invalid_file")


def test_metadata_with_a_wrong_checksum():
    """PNG metadata with a wrong checksum is removed, and the image recorded as corrected."""
    data = picture("png")
    wrong = data[:33] + b"\0\0\0\x03tEXta\0bXXXX" + data[33:]
    loaded = load("image_url", {"url": f"data:image/png;base64,{b64(wrong)}"})
    assert (loaded, loaded.corrected) == (Image("image/png", b64(data)), True)


def test_untitled_file():
    """A file's name is optional."""
    assert load("file", {"file_data": "a", "filename": None}) == Document("text/plain", "a")


@pytest.mark.parametrize(
    ("value", "path", "code"),
    [
        ({"file_id": "file-1"}, "file_id", "unsupported_value"),
        ({"file_id": "file-1", "file_data": "a"}, "file_id", "unsupported_value"),
        ({}, "file_data", "invalid_type"),
        ({"file_data": 7}, "file_data", "invalid_type"),
        ({"file_data": "a", "filename": 7}, "filename", "invalid_type"),
        *(
            ({"file_data": data}, "file_data", "invalid_file")
            for data in (
                *("", " \n", "data:text/plain,", "data:text/plain;base64,/w=="),
                *("data:text/plain;base64,A", "data:application/pdf;base64,A"),
                "data:application/pdf;base64," + b64(b"no text\xff"),
                f"data:application/zip;base64,{b64(bytes(4))}",
                f"data:application/pdf;base64,{b64(picture())}",
            )
        ),
    ],
)
def test_wrong_files(value, path, code):
    """An unusable file is refused by its path."""
    assert mistake_in("file", value) == (f"file.{path}", code)


@pytest.mark.parametrize(
    ("part", "path", "code"),
    [
        ("Hi", "0", "invalid_type"),
        ({"type": "input_audio", "input_audio": {}}, "0.type", "unsupported_value"),
        ({"type": ["text"]}, "0.type", "unsupported_value"),
        ({"type": "text", "text": None}, "0.text", "invalid_type"),
        ({"type": "file", "file": "a"}, "0.file", "invalid_type"),
    ],
)
def test_wrong_parts(part, path, code):
    """A part of an unknown type, or without the value of its type, is refused."""
    with pytest.raises(ValidationError) as caught:
        load_part(0, part)
    param, message = first_error(caught.value.normalized_messages())
    assert (param, code_of(message)) == (path, code)


def test_long_urls():
    """A URL of an image has at most 8192 characters."""
    longest = f"https://x.test/{'a' * (LONGEST_URL - 15)}"
    assert load("image_url", {"url": longest}) == Image(url=longest)
    assert mistake_in("image_url", {"url": f"{longest}a"}) == ("image_url.url", "invalid_image_url")


def test_many_blanks():
    """Blanks in base64 take little memory."""
    text = "AAA " * 1_000_000
    tracemalloc.start()
    try:
        assert len(normal_base64(text)) == 3_000_000
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text)
    finally:
        tracemalloc.stop()


def test_many_chunks():
    """Of a PNG with many chunks, only so many are checked."""
    chunk = bytes(4) + b"tEXt" + bytes(4)  # whose checksum is wrong
    image = picture()
    data = b64(image[:33] + chunk * (MOST_CHUNKS + 1) + image[33:])
    kept = base64.b64decode(load("image_url", {"url": f"data:image/png;base64,{data}"}).data)
    assert kept.count(chunk) == 2


def test_large_image():
    """A PNG that is too large for the model's API is not read at all, and refused later."""
    data = b64(picture(size=4 * 1024**2))
    assert load("image_url", {"url": f"data:image/png;base64,{data}"}).data == data
