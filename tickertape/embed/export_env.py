"""A Python environment of its own for exporting: torch is some GB, and no worker needs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from tickertape.errors import StartError

Say = Callable[[str], None]

# Ranges that were exported with. On Linux, PyPI's torch brings CUDA's libraries (about 5 GB);
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL) may point to smaller wheels.
REQUIREMENTS = (
    "optimum-onnx>=0.1,<0.2",
    "transformers>=4.57,<4.58",
    "sentence-transformers>=5.7,<5.8",
    "torch>=2.13,<2.14",
    "onnx>=1.18,<2",
    "onnxruntime>=1.22,<2",
)


class ExportEnv:
    """The environment in ``folder``; made when first needed, and again where a try broke off."""

    def __init__(self, folder: Path, requirements: Sequence[str] = REQUIREMENTS) -> None:
        """``requirements`` are what it always has installed; by default, what exporting takes."""
        self.folder = folder.absolute()
        self.requirements = requirements
        self.log = self.folder.with_name(f"{folder.name}.log")
        scripts = "Scripts" if os.name == "nt" else "bin"
        self.python = self.folder / scripts / "python"

    def ensure(self, say: Say, more: Sequence[str] = ()) -> None:
        """Make the environment and install what is needed, with ``more`` requirements.

        Raises:
            StartError: it cannot be made; the log has all of pip's output.
        """
        wanted = [*self.requirements, *more]
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(f"{self.folder.name}.lock")):
            self.log.write_text("", "utf-8")
            if not self.python.exists():
                say(f"making the environment {self.folder}")
                self._run([sys.executable, "-m", "venv", "--clear", str(self.folder)], say)
            done = self.folder / ".installed"
            installed = done.read_text("utf-8").splitlines() if done.is_file() else []
            if set(wanted) <= set(installed):
                return
            size = "several GB" if self.requirements is REQUIREMENTS else "about 700 MB"
            names = ", ".join(re.split("[<>=]", each)[0] for each in self.requirements)
            say(f"installing {names} ({size}, some minutes)")
            pip = [str(self.python), "-m", "pip", "install", "--progress-bar", "off", *wanted]
            self._run(pip, say)
            done.write_text("\n".join(dict.fromkeys([*installed, *wanted])), "utf-8")

    def run(self, script: Path, arguments: Sequence[str], say: Say, **environ: str) -> str:
        """Run a script in the environment; return the last line that it printed.

        Raises:
            StartError: it failed; one line says why.
        """
        # -I: no script folder on sys.path, where our onnx.py would hide the package onnx.
        return self._run([str(self.python), "-I", str(script), *arguments], say, environ)

    def _run(self, command: Sequence[str], say: Say, environ: Mapping[str, str] = {}) -> str:
        # Neither our own packages nor our PYTHONPATH may reach into the environment.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "VIRTUAL"))}
        last = ""
        try:
            process = subprocess.Popen(  # noqa: S603
                command,
                env={**clean, "TOKENIZERS_PARALLELISM": "false", **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise StartError(f"{command[0]}: {error}") from error
        with process, self.log.open("a", encoding="utf-8") as log:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                last = line.strip() or last
                if line.startswith(("Collecting", "Downloading", "Installing collected")):
                    say(line.split("(")[0].strip()[:100])
        if process.returncode:
            raise StartError(f"export failed: {last or command[0]} (all of it: {self.log})")
        return last
