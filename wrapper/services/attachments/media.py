"""The attachments: images and files as callers send them, made into parts of a message.

Their bytes decide what they are, whatever their label says.
"""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

from wrapper.services.attachments.png import checksum_holds, chunks, is_ancillary
from wrapper.services.turn import Document, Image

PDF, TEXT = "application/pdf", "text/plain"
PDF_HEAD = b"%PDF-"
# How base64 of a PDF begins.
PDF_BASE64 = "JVBERi"
# Each takes 20 times its length in memory while it is decoded.
MOST_ESCAPES = 500_000
# So many characters of base64 tell the kind.
HEAD_CHARACTERS = 64
LABELS = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",  # which is no media type, but often written
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}


def unescape(text: str) -> bytes:
    """Return *text* without its percent-encoding. Raises ValueError where there is too much."""
    if text.count("%") > MOST_ESCAPES:
        raise ValueError(
            f"it has more than {MOST_ESCAPES} percent-encoded bytes; send it in base64"
        )
    return unquote_to_bytes(text)


def normal_base64(text: str) -> str:
    """Return base64 in its standard form: one line, the standard alphabet, and padding.

    Line breaks, blanks, URL-safe letters, percent-encoding and missing padding are put right.
    Whether the rest is base64 at all is not looked at. Raises ValueError as `unescape` does.
    """
    if "%" in text:
        text = unescape(text).decode("latin-1")
    if any(blank in text for blank in " \n\r\t\f\v"):
        text = "".join(text.split())
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    text = text.rstrip("=")
    return text + "=" * (-len(text) % 4)


def decode_base64(text: str) -> bytes:
    """Return what base64 in its standard form holds. Raises ValueError where it is not that."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None


def kind_of(data: bytes) -> str | None:
    """Return the media type of an image or a PDF by its first bytes; None for anything else."""
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
    """Return the image, or the PDF, that is in base64 in *text*.

    Raises ValueError where neither the bytes nor the label are those of one.
    """
    text = normal_base64(text)
    labelled = LABELS.get(label)
    kind = kind_of(decode_base64(text[:HEAD_CHARACTERS])) or labelled
    if not kind:
        raise ValueError(f"it says {label[:40]!r}, but is not a png, jpeg, gif or webp image")
    corrected = kind not in (label, labelled)
    if kind == PDF:
        return Document(PDF, text, corrected=corrected)
    if kind == "image/png" and (mended := _mend(decode_base64(text))):
        return Image(kind, base64.b64encode(mended).decode(), corrected=True)
    return Image(kind, text, corrected=corrected)


def load_file(label: str, content: bytes, title: str) -> Document:
    """Return the PDF or the text that *content* is. Raises ValueError for anything else."""
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
    """Return a file that comes without a label: a PDF in base64, or a text."""
    if not data.lstrip().startswith(PDF_BASE64):
        return Document(TEXT, data, title)
    try:
        text = normal_base64(data)
        is_pdf = decode_base64(text).startswith(PDF_HEAD)
    except ValueError:
        is_pdf = False
    return Document(PDF, text, title) if is_pdf else Document(TEXT, data, title)


def _mend(data: bytes) -> bytes | None:
    """Return a PNG without the metadata whose checksum is wrong; None where there is none."""
    try:
        wrong = [
            (at, end)
            for name, at, end in chunks(data)
            if is_ancillary(name) and not checksum_holds(data, at, end)
        ]
    except ValueError:
        return None
    kept, begin = [], 0
    for at, end in wrong:
        kept.append(data[begin:at])
        begin = end
    return b"".join([*kept, data[begin:]]) if wrong else None
