"""Write values as JSON texts, as short as they can be."""

from __future__ import annotations

import json

# A Decimal, of more digits than a double holds, is a client's own number, which is sent back.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=float).encode
