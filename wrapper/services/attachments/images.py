"""Check the images of a conversation against the limits of the model's API.

Claude Code drops an image that it cannot read, without a message. So each one is decoded here
first, in a child process that can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from wrapper.errors import ClientGone, InvalidRequest
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.attachments.media import MOST_BASE64, decode_base64
from wrapper.services.background.offload.runner import Exceeded, Job, offload
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Document, Image, ToolResult

MOST = 100
MOST_PIXELS_A_SIDE = 8000
# Of all images of a request together.
MOST_PIXELS = 256_000_000
# Most progressive JPEGs have 10 scans. Each takes as much work as the whole image.
MOST_SCANS = 100

# The CPU time that decoding may take. It usually takes some 20 ns a pixel.
SECONDS = 0.25
SECONDS_A_PIXEL = 150e-9
# Decoding takes 4 bytes a pixel, and a progressive JPEG 6 more.
LARGE_PIXELS = 4_000_000
LARGE_MEMORY = 1024**3


@dataclass(frozen=True)
class ImageInfo:
    """An image of a request: its path there, its size in bytes, and its sides in pixels.

    *in_result* says whether it is part of a function's result.
    """

    path: str
    size: int
    width: int
    height: int
    in_result: bool = False


def check_images(
    messages: Iterable[ChatMessage],
    shrinks: Callable[[ImageInfo], bool],
    *,
    strict: bool,
    gone: Callable[[], bool] = lambda: False,
) -> Notes:
    """Return notes on the images and files of *messages* that the gateway changes.

    Raises InvalidRequest for the first of them if *strict*, and whenever inspect_images does.
    """
    messages = list(messages)
    images = inspect_images(messages, gone)
    shrunk = [image.path for image in images if shrinks(image)]
    corrected = [path for path, file, _ in _files(messages) if file.corrected]
    if strict:
        _refuse(shrunk, "the model would get this image smaller than it is")
        _refuse(corrected, "this file has another type than it says, or a wrong checksum")
    if not shrunk and not corrected:
        return NO_NOTES
    return Notes(resized_images=tuple(shrunk), corrected_files=tuple(corrected))


def _refuse(paths: list[str], why: str) -> None:
    for path in paths:
        remedy = "send it as docs/api.md says, or without STRICT_PARAMS"
        raise InvalidRequest(f"{path}: {why}; {remedy}", param=path, code="invalid_image")


def inspect_images(
    messages: Iterable[ChatMessage], gone: Callable[[], bool] = lambda: False
) -> tuple[ImageInfo, ...]:
    """Return the images of *messages*, except those that are URLs.

    Raises InvalidRequest for the first image that the model's API would refuse or change,
    ClientGone, and ChecksBusy if too many costly checks run.
    """
    files = list(_files(messages))
    if len(files) > MOST:
        path = files[MOST][0]
        why = f"a request may hold {MOST} images and files, and this is one more"
        raise InvalidRequest(f"{path}: {why}", param=path, code="invalid_value")
    images: list[ImageInfo] = []
    for path, file, in_result in files:
        if isinstance(file, Image) and not file.url:
            if gone():
                raise ClientGone("The client closed the connection.")
            room = MOST_PIXELS - sum(image.width * image.height for image in images)
            images.append(_inspect(path, file, in_result, room, gone))
    return tuple(images)


def _files(messages: Iterable[ChatMessage]) -> Iterator[tuple[str, Image | Document, bool]]:
    for index, message in enumerate(messages):
        for nth, part in enumerate(message.parts):
            path = f"messages.{index}.content.{nth}"
            if isinstance(part, (Image, Document)):
                yield path, part, message.role == "tool"
            elif isinstance(part, ToolResult):
                yield from _files_of_result(path, part)


def _files_of_result(path: str, result: ToolResult) -> Iterator[tuple[str, Image, bool]]:
    for index, part in enumerate(result.parts):
        if isinstance(part, Image):
            yield f"{path}.content.{index}", part, True


def _inspect(
    path: str, image: Image, in_result: bool, room: int, gone: Callable[[], bool]
) -> ImageInfo:
    param = f"{path}.image_url.url"
    try:
        data = _bytes_of(image.data)
        header = _run(Job("measure", data, SECONDS, {"media_type": image.media_type}), gone)
        if "broken" in header:
            raise ValueError(f"the image is broken: {header['broken']}")
        width, height = header["width"], header["height"]
        _check_sides(width, height, room)
        _check_scans(header["scans"])
        _decode_whole(data, image.media_type, width * height, gone)
    except ValueError as error:
        message = f"{param}: {error}"
        raise InvalidRequest(message, param=param, code="invalid_image") from None
    return ImageInfo(path, len(data), width, height, in_result)


def _bytes_of(text: str) -> bytes:
    if len(text) > MOST_BASE64:
        limit = MOST_BASE64 // 1024**2
        raise ValueError(f"the image has {len(text)} bytes in base64, and {limit} MiB is the most")
    return decode_base64(text)


def _check_sides(width: int, height: int, room: int) -> None:
    if max(width, height) > MOST_PIXELS_A_SIDE:
        raise ValueError(
            f"the image has {width} x {height} pixels, and {MOST_PIXELS_A_SIDE} a side is the most"
        )
    if width * height > room:
        raise ValueError(f"with this image the images have more than {MOST_PIXELS} pixels together")


def _check_scans(scans: int) -> None:
    if scans > MOST_SCANS:
        raise ValueError(f"the image has {scans} scans, and {MOST_SCANS} is the most")


def _decode_whole(data: bytes, media_type: str, pixels: int, gone: Callable[[], bool]) -> None:
    """Decode the whole image. Raises ValueError if that fails."""
    seconds = SECONDS + pixels * SECONDS_A_PIXEL
    job = Job("decode", data, seconds, {"media_type": media_type})
    if pixels > LARGE_PIXELS:
        job = replace(job, memory=LARGE_MEMORY, heavy=True)
    if broken := _run(job, gone):
        raise ValueError(f"the image is broken: {broken}")


def _run(job: Job, gone: Callable[[], bool]) -> Any:
    try:
        return offload.run(job, gone)
    except Exceeded:
        limit = f"{job.cpu:.2f} s of CPU time or {job.memory // 1024**2} MiB of memory"
        raise ValueError(f"reading the image takes more than {limit}") from None
