"""The pictures: those of a conversation, held against what the model's API takes of them.

A picture that cannot be read would be left out without a word, so each is read here first.
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from wrapper.errors import InvalidRequest
from wrapper.services.messages import ChatMessage
from wrapper.services.turn import Document, Image

MOST = 100
MOST_BASE64 = 5 * 1024**2
MOST_PIXELS_A_SIDE = 8000
# All of a request's pictures together; reading so many takes 1 s to 10 s, by their format.
MOST_PIXELS = 256_000_000

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}

# A picture that is being read takes 4 bytes a pixel, so that large ones are read one at a time.
_LARGE = 4_000_000
_one_large = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A picture that stands in a request, at *place*: its bytes, and its sides in pixels.

    *in_result* is whether it is what a function has returned.
    """

    place: str
    size: int
    width: int
    height: int
    in_result: bool = False


def tell_shrunk(
    messages: Iterable[ChatMessage], shrinks: Callable[[Picture], bool], *, strict: bool
) -> dict[str, str]:
    """Return the header that names the pictures of *messages* that the model gets smaller, if any.

    Raises InvalidRequest for the first of them if *strict*, and whenever inspect_pictures does.
    """
    places = [picture.place for picture in inspect_pictures(messages) if shrinks(picture)]
    if places and strict:
        raise InvalidRequest(
            f"{places[0]}: the model would get this picture smaller than it is; send it within "
            "the limits that docs/api.md names, or without STRICT_PARAMS",
            param=places[0],
            code="invalid_image",
        )
    return {"x-resized-images": ", ".join(places)} if places else {}


def inspect_pictures(messages: Iterable[ChatMessage]) -> tuple[Picture, ...]:
    """Return the pictures of *messages*, those aside that are URLs.

    Raises InvalidRequest for the first that the model's API would not take, or not as it is.
    """
    found = list(_files(messages))
    if len(found) > MOST:
        place = found[MOST][0]
        why = f"a request may hold {MOST} pictures and files, and this is one more"
        raise InvalidRequest(f"{place}: {why}", param=place, code="invalid_value")
    pictures: list[Picture] = []
    for place, file, in_result in found:
        if isinstance(file, Image) and not file.url:
            room = MOST_PIXELS - sum(one.width * one.height for one in pictures)
            pictures.append(_inspect(place, file, in_result, room))
    return tuple(pictures)


def _files(messages: Iterable[ChatMessage]) -> Iterator[tuple[str, Image | Document, bool]]:
    for index, message in enumerate(messages):
        for nth, part in enumerate(message.parts):
            if isinstance(part, (Image, Document)):
                yield f"messages.{index}.content.{nth}", part, message.role == "tool"


def _inspect(place: str, image: Image, in_result: bool, room: int) -> Picture:
    param = f"{place}.image_url.url"
    try:
        data = _decode(image.data)
        _check_kind(data, image.media_type)
        width, height = _measure(data, image.media_type)
        _check_sides(width, height, room)
        _read(data, image.media_type, width * height)
    except ValueError as error:
        message = f"{param}: {error}"
        raise InvalidRequest(message, param=param, code="invalid_image") from None
    return Picture(place, len(data), width, height, in_result)


def _decode(text: str) -> bytes:
    if len(text) > MOST_BASE64:
        limit = MOST_BASE64 // 1024**2
        raise ValueError(
            f"the picture has {len(text)} bytes in base64, and {limit} MiB is the most"
        )
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("the picture is no base64") from None


def _check_kind(data: bytes, media_type: str) -> None:
    kind = kind_of(data)
    if kind != media_type:
        raise ValueError(f"the picture is {kind or 'of no kind known here'}, and not {media_type}")


def kind_of(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _check_sides(width: int, height: int, room: int) -> None:
    if max(width, height) > MOST_PIXELS_A_SIDE:
        raise ValueError(
            f"the picture has {width} x {height} pixels, and {MOST_PIXELS_A_SIDE} a side are most"
        )
    if width * height > room:
        raise ValueError(f"with this picture they have more than {MOST_PIXELS} pixels together")


def _measure(data: bytes, media_type: str) -> tuple[int, int]:
    """Return the sides that the picture's head names, of which nothing else is read."""
    try:
        with _open(data, media_type) as picture:
            return picture.size
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise ValueError("the picture has too many pixels") from None
    except Exception as error:
        raise _broken(error) from None


def _read(data: bytes, media_type: str, pixels: int) -> None:
    """Read the whole picture, or raise ValueError."""
    try:
        with _open(data, media_type) as picture:
            picture.verify()
        with _one_large if pixels > _LARGE else nullcontext(), _open(data, media_type) as picture:
            picture.load()
    except Exception as error:
        raise _broken(error) from None


def _broken(error: Exception) -> ValueError:
    """Return what tells that a picture is broken: Pillow raises what it happens to come upon."""
    known = not isinstance(error, UnidentifiedImageError)  # which tells of an address in memory
    return ValueError(f"the picture is broken: {error if known else 'its head says nothing'}")


def _open(data: bytes, media_type: str) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data), formats=(FORMATS[media_type],))
