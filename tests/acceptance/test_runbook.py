"""The runbook's own commands, as they stand there, beside a worker with a dead letter."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys

from testkit.system import ROOT, System, documents

RUNBOOK = ROOT / "docs" / "runbook.md"
NOT_HERE = {
    *("broker start", "broker stop", "broker status", "export-model"),  # no broker of ours
    "stores fill",  # no second store; `test_second_store`
}
TELLS_BY_STATUS = {"doctor"}  # it finds something to mend, as in any machine of tests
SECONDS_MAX = 60.0


def commands() -> list[str]:
    """Return the ``faust -A app`` lines of the runbook's blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", RUNBOOK.read_text("utf-8"), re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    found = (line.partition("#")[0].strip() for line in lines)
    return [line.removeprefix("faust ") for line in found if line.startswith("faust -A app ")]


async def test_every_command_of_the_runbook_runs(system: System) -> None:
    worker = await system.worker()
    batch = await system.declare(2)
    topic = system.settings.topic_text_messages
    poison = {"id": "dead", "text": 5, "batch_id": batch}
    await system.send(topic, [*documents(1, batch), poison])
    await system.finished(worker, batch)
    (letter,) = await system.dead(topic)
    values = {
        "ID": f"{letter.topic}/{letter.partition}/{letter.offset}",
        "BATCH": batch,
        "text-messages": topic,
    }
    env = {**system.env, "EDITOR": "sed -i s/5,/6,/", "TERM": "dumb"}
    ran = []
    for line in commands():
        words = [values.get(word, word) for word in shlex.split(line)]
        name = " ".join(words[2:4])
        if any(name.startswith(each) for each in NOT_HERE) or words[2] == "worker":
            continue
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faust", *words),
            cwd=ROOT,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS_MAX):
            out, err = await process.communicate()
        shown = f"{line}\n{out.decode()}{err.decode()}"
        assert b"Traceback" not in err, shown
        assert process.returncode == 0 or words[2] in TELLS_BY_STATUS, shown
        ran.append(line)
    assert len(ran) >= 8, ran
    await worker.stop()
