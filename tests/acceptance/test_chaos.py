"""A small chaos run: workers killed, stopped and shut down, broker, store and LLM failing."""

from __future__ import annotations

import json
import subprocess
import sys

from loadtest.chaos.faults import WEIGHTS
from loadtest.chaos.inject import PIECES
from loadtest.chaos.workload import PARTS_EVERY
from testkit.system import ROOT

SECONDS_MAX = 600


def test_every_document_is_accounted_for() -> None:
    command = (
        *(sys.executable, "-m", "loadtest.chaos", "--json", "--seed", "1"),
        *("--documents", "300", "--faults", str(len(WEIGHTS))),
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.stdout, done.stderr[-4000:]
    report = json.loads(done.stdout)
    told = json.dumps(report, indent=2)
    classes = ("lost", "doubled", "stale", "misordered", "miscounted")
    assert {name: report[name] for name in classes} == dict.fromkeys(classes, 0), told
    assert report["stuck"] == [], told
    assert report["faults"] == {"total": len(WEIGHTS), **dict.fromkeys(WEIGHTS, 1)}, told
    # The parts made elsewhere, and the pieces on the topic that was made anew, are documents too.
    assert report["stored"] + report["deleted"] == 300 + 300 // PARTS_EVERY + PIECES, told
    assert done.returncode == 0, told
