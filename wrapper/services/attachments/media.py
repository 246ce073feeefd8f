"""Load images and files that callers send into parts of a message.

Their bytes decide what they are, whatever their label says.
"""

from __future__ import annotations

import base64
from itertools import islice
from urllib.parse import unquote_to_bytes

from wrapper.services.attachments.png import checksum_holds, chunks, is_ancillary
from wrapper.services.turn import Document, Image

PDF, TEXT = "application/pdf", "text/plain"
PDF_HEAD = b"%PDF-"
# The first base64 characters of a PDF.
PDF_BASE64 = "JVBERi"
BLANKS = " \n\r\t\f\v"
# Decoding takes 20 times the length of an escape in memory.
MOST_ESCAPES = 500_000
# The model's API takes no larger image.
MOST_BASE64 = 5 * 1024**2
# How many chunks of a PNG are checked.
MOST_CHUNKS = 20_000
# The base64 characters that are enough to tell the kind.
HEAD_CHARACTERS = 64
LABELS = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",  # not a media type, but common
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}


def unescape(text: str) -> bytes:
    """Return *text* without percent-encoding. Raises ValueError if there is too much of it."""
    if text.count("%") > MOST_ESCAPES:
        raise ValueError(
            f"it has more than {MOST_ESCAPES} percent-encoded bytes; send it in base64"
        )
    return unquote_to_bytes(text)


def normal_base64(text: str) -> str:
    """Return base64 in its standard form: one line, the standard alphabet, and padding.

    This corrects line breaks, blanks, URL-safe letters, percent-encoding and missing padding, but
    does not check the rest. Raises ValueError as `unescape` does.
    """
    if "%" in text:
        text = unescape(text).decode("latin-1")
    if any(blank in text for blank in BLANKS):
        text = text.translate(dict.fromkeys(map(ord, BLANKS)))
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    text = text.rstrip("=")
    return text + "=" * (-len(text) % 4)


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard base64. Raises ValueError for any other text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None


def kind_of(data: bytes) -> str | None:
    """Return the media type of an image or PDF from its first bytes, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return PDF if data.startswith(PDF_HEAD) else None


def load_image(label: str, text: str) -> Image | Document:
    """Return the image or PDF that *text* holds in base64.

    Raises ValueError if neither the bytes nor the label are those of one.
    """
    text = normal_base64(text)
    labelled = LABELS.get(label)
    kind = kind_of(decode_base64(text[:HEAD_CHARACTERS])) or labelled
    if not kind:
        raise ValueError(f"it says {label[:40]!r}, but is not a png, jpeg, gif or webp image")
    corrected = kind not in (label, labelled)
    if kind == PDF:
        return Document(PDF, text, corrected=corrected)
    is_acceptable_png = kind == "image/png" and len(text) <= MOST_BASE64
    if is_acceptable_png and (repaired := _without_bad_metadata(decode_base64(text))):
        return Image(kind, base64.b64encode(repaired).decode(), corrected=True)
    return Image(kind, text, corrected=corrected)


def load_file(label: str, content: bytes, title: str) -> Document:
    """Return *content* as a PDF or text. Raises ValueError for anything else."""
    kind = kind_of(content)
    if kind == PDF:
        data = base64.b64encode(content).decode()
        return Document(PDF, data, title, corrected=label != PDF)
    text = _text(content)
    if text is None or ("\0" in text and not label.startswith("text/")):
        what = (
            f"{kind}; send images as parts of type image_url" if kind else "neither a PDF nor text"
        )
        raise ValueError(f"it says {label[:40]!r}, but is {what}")
    return Document(TEXT, text, title, corrected=label == PDF)


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except ValueError:
        return None


def load_bare_file(data: str, title: str) -> Document:
    """Return a file without a label, which is a PDF in base64 or a text."""
    if not data.lstrip().startswith(PDF_BASE64):
        return Document(TEXT, data, title)
    try:
        text = normal_base64(data)
        is_pdf = decode_base64(text).startswith(PDF_HEAD)
    except ValueError:
        is_pdf = False
    return Document(PDF, text, title) if is_pdf else Document(TEXT, data, title)


def _without_bad_metadata(data: bytes) -> bytes | None:
    """Return a PNG without metadata that has a wrong checksum, or None if all of it is right."""
    try:
        wrong = [
            (begin, end)
            for name, begin, end in islice(chunks(data), MOST_CHUNKS)
            if is_ancillary(name) and not checksum_holds(data, begin, end)
        ]
    except ValueError:
        return None
    kept, position = [], 0
    for begin, end in wrong:
        kept.append(data[position:begin])
        position = end
    return b"".join([*kept, data[position:]]) if wrong else None
