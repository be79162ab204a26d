"""What schemathesis cannot write by itself."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(_context: Any, value: Any) -> bytes:
    """One JSON value a line."""
    values = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(one, default=str) for one in values).encode()
