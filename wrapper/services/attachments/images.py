"""The pictures: those of a conversation, held against what the model's API takes of them.

A picture that cannot be read would be left out without a word, so each is read here first, in a
child process that can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from wrapper.errors import ClientGone, InvalidRequest
from wrapper.services.attachments.media import decode_base64
from wrapper.services.background.offload.runner import Exceeded, Job, offload
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Document, Image, ToolResult

MOST = 100
MOST_BASE64 = 5 * 1024**2
MOST_PIXELS_A_SIDE = 8000
# All of a request's pictures together.
MOST_PIXELS = 256_000_000
# Most progressive JPEGs have 10 scans, each of which is as much work as the whole picture.
MOST_SCANS = 100

# The CPU time that reading a picture may take. It takes some 20 ns a pixel.
SECONDS = 0.25
SECONDS_A_PIXEL = 150e-9
# A picture that is being read takes 4 bytes a pixel, and a progressive JPEG 6 more.
LARGE_PIXELS = 4_000_000
LARGE_MEMORY = 1024**3


@dataclass(frozen=True)
class ImageInfo:
    """A picture that stands in a request, at *place*: its bytes, and its sides in pixels.

    *in_result* is whether it is what a function has returned.
    """

    place: str
    size: int
    width: int
    height: int
    in_result: bool = False


def check_pictures(
    messages: Iterable[ChatMessage],
    shrinks: Callable[[ImageInfo], bool],
    *,
    strict: bool,
    gone: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Return the headers that name the pictures and files of *messages* that are not as sent.

    Raises InvalidRequest for the first of them if *strict*, and whenever inspect_pictures does.
    """
    messages = list(messages)
    pictures = inspect_pictures(messages, gone)
    shrunk = [picture.place for picture in pictures if shrinks(picture)]
    corrected = [place for place, file, _ in _files(messages) if file.corrected]
    if strict:
        _refuse(shrunk, "the model would get this picture smaller than it is")
        _refuse(corrected, "this is not of the type that it says, or has a wrong checksum")
    told = {"x-resized-images": shrunk, "x-corrected-files": corrected}
    return {header: ", ".join(places) for header, places in told.items() if places}


def _refuse(places: list[str], why: str) -> None:
    for place in places:
        mend = "send it as docs/api.md says, or without STRICT_PARAMS"
        raise InvalidRequest(f"{place}: {why}; {mend}", param=place, code="invalid_image")


def inspect_pictures(
    messages: Iterable[ChatMessage], gone: Callable[[], bool] = lambda: False
) -> tuple[ImageInfo, ...]:
    """Return the pictures of *messages*, those aside that are URLs.

    Raises InvalidRequest for the first that the model's API would not take, or not as it is,
    ClientGone, and ChecksBusy where too many costly checks run.
    """
    found = list(_files(messages))
    if len(found) > MOST:
        place = found[MOST][0]
        why = f"a request may hold {MOST} pictures and files, and this is one more"
        raise InvalidRequest(f"{place}: {why}", param=place, code="invalid_value")
    pictures: list[ImageInfo] = []
    for place, file, in_result in found:
        if isinstance(file, Image) and not file.url:
            if gone():
                raise ClientGone("The client closed the connection.")
            room = MOST_PIXELS - sum(one.width * one.height for one in pictures)
            pictures.append(_inspect(place, file, in_result, room, gone))
    return tuple(pictures)


def _files(messages: Iterable[ChatMessage]) -> Iterator[tuple[str, Image | Document, bool]]:
    for index, message in enumerate(messages):
        for nth, part in enumerate(message.parts):
            if isinstance(part, (Image, Document)):
                yield f"messages.{index}.content.{nth}", part, message.role == "tool"
            elif isinstance(part, ToolResult):
                for inner, image in enumerate(part.parts):
                    if isinstance(image, Image):
                        yield f"messages.{index}.content.{nth}.content.{inner}", image, True


def _inspect(
    place: str, image: Image, in_result: bool, room: int, gone: Callable[[], bool]
) -> ImageInfo:
    param = f"{place}.image_url.url"
    try:
        data = _decode(image.data)
        head = _run(Job("measure", data, SECONDS, {"media_type": image.media_type}), gone)
        if "broken" in head:
            raise ValueError(f"the picture is broken: {head['broken']}")
        width, height = head["width"], head["height"]
        _check_sides(width, height, room)
        _check_scans(head["scans"])
        _read(data, image.media_type, width * height, gone)
    except ValueError as error:
        message = f"{param}: {error}"
        raise InvalidRequest(message, param=param, code="invalid_image") from None
    return ImageInfo(place, len(data), width, height, in_result)


def _decode(text: str) -> bytes:
    if len(text) > MOST_BASE64:
        limit = MOST_BASE64 // 1024**2
        raise ValueError(
            f"the picture has {len(text)} bytes in base64, and {limit} MiB is the most"
        )
    return decode_base64(text)


def _check_sides(width: int, height: int, room: int) -> None:
    if max(width, height) > MOST_PIXELS_A_SIDE:
        raise ValueError(
            f"the picture has {width} x {height} pixels, and {MOST_PIXELS_A_SIDE} a side are most"
        )
    if width * height > room:
        raise ValueError(f"with this picture they have more than {MOST_PIXELS} pixels together")


def _check_scans(scans: int) -> None:
    if scans > MOST_SCANS:
        raise ValueError(f"the picture has {scans} scans, and {MOST_SCANS} is the most")


def _read(data: bytes, media_type: str, pixels: int, gone: Callable[[], bool]) -> None:
    """Read the whole picture, or raise ValueError."""
    seconds = SECONDS + pixels * SECONDS_A_PIXEL
    job = Job("decode", data, seconds, {"media_type": media_type})
    if pixels > LARGE_PIXELS:
        job = replace(job, memory=LARGE_MEMORY, heavy=True)
    if broken := _run(job, gone):
        raise ValueError(f"the picture is broken: {broken}")


def _run(job: Job, gone: Callable[[], bool]) -> Any:
    try:
        return offload.run(job, gone)
    except Exceeded:
        limit = f"{job.cpu:.2f} s of CPU time or {job.memory // 1024**2} MiB of memory"
        raise ValueError(f"reading the picture takes more than {limit}") from None
