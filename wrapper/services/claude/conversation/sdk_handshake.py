"""The SDK's handshake, which the gateway answers: it has initialized the process itself."""

from __future__ import annotations

import asyncio
import json

from wrapper.services.claude.protocol.frames import Frame


class SdkHandshake:
    """Takes the SDK's initialize request, which is the first that it writes, and answers it."""

    def __init__(self) -> None:
        self._ids: asyncio.Queue[str] = asyncio.Queue()
        self._taken = False

    def take(self, data: str) -> bool:
        """Take what the SDK writes if it is this request, and say whether it is."""
        if self._taken:
            return False
        self._taken = True
        self._ids.put_nowait(json.loads(data)["request_id"])
        return True

    async def answer(self) -> Frame:
        """Return the answer, once the request has come."""
        response = {"subtype": "success", "request_id": await self._ids.get(), "response": {}}
        return {"type": "control_response", "response": response}
