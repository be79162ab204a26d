"""Reads PDFs in a process of its own, which `tickertape.sources.pdf` starts by this file's path.

PDFium is not thread-safe, and a hostile file takes gigabytes or ends the process: this one may, and
has a bound of memory. A line in is a request, as JSON; lines out are pages, an end or an error.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any


def main() -> None:
    """Answer requests until the input ends."""
    bytes_max = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (bytes_max, bytes_max))
    import pypdfium2  # after the bound

    for line in sys.stdin:
        request = json.loads(line)
        try:
            _read(pypdfium2, request)
        except pypdfium2.PdfiumError as error:
            _say(error=str(error))
        except MemoryError:
            _say(error="memory")
        except (OSError, ValueError) as error:
            _say(error=str(error) or type(error).__name__)


def _read(pypdfium2: Any, request: dict[str, Any]) -> None:
    document = pypdfium2.PdfDocument(request["path"])
    try:
        count, left = len(document), request["characters_max"]
        if count > request["pages_max"]:
            _say(error=f"{count:,} pages are over pages_max ({request['pages_max']:,})")
            return
        if request["count"]:
            _say(end=count)
            return
        title = document.get_metadata_value("Title")
        for number in range(request["first"], count):
            page = document[number]
            text_page = page.get_textpage()
            text = text_page.get_text_range()
            text_page.close()
            page.close()
            left -= len(text)
            if left < 0:
                _say(error=f"over {request['characters_max']:,} characters")
                return
            _say(page=number + 1, pages=count, text=text, title=title)
        _say(end=count)
    finally:
        document.close()


def _say(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
