"""Kill, stop, stall and starve a running system, then account for every document.

``python -m loadtest.chaos --seed S --faults N --json``

Prints one JSON object. ``lost``, ``doubled``, ``stale``, ``misordered`` and ``miscounted`` must
each be 0; exit code 1 where one is not, or where something was still open at the end (``stuck``).
The same seed makes the same plan of records and faults.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadtest.chaos.run import run


def main() -> int:
    """Run once; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="of the plan of records and faults")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="at least 2")
    parser.add_argument("--json", action="store_true", help="only the report, on one line")
    parser.add_argument("--keep", action="store_true", help="keep the folder: logs, store, topics")
    options = parser.parse_args()
    if options.workers < 2 or options.documents < 1 or options.faults < 0:
        parser.error("expected at least 2 workers, 1 document and 0 faults")
    folder = Path(tempfile.mkdtemp(prefix="tickertape-chaos-"))
    try:
        report = asyncio.run(_run(folder, options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    finally:
        if options.keep:
            print(f"kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=None if options.json else 2))
    return 0 if report["ok"] else 1


async def _run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run; SIGTERM ends what was started, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(
        folder,
        seed=options.seed,
        documents=options.documents,
        fault_count=options.faults,
        workers=options.workers,
    )


if __name__ == "__main__":
    sys.exit(main())
