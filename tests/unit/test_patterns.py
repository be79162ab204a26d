"""No regular expression of the program can be made slow by a text.

Every pattern is found (none need be registered) and fed strings made of its own parts: what it
repeats after what stands before it, its beginnings, and what is common. What is slowest in small
is then tried with a megabyte. It may take a second of the processor's time; on a machine that is
slow at the moment so much more as a plain scan, timed beside it, takes more than its usual. What
grows with the text's square takes a quarter of an hour, and is given up.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import math
import multiprocessing
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

from tickertape.embed import words

ROOT = Path(__file__).parents[2]
PACKAGES = ("tickertape", "agents", "models", "runtime", "tables", "web", "worker")
MODULES = ("commands",)
# Whose patterns are not literals: what they are made of, in words.
NOT_LITERAL = {
    "tickertape.embed.words": "a tokenizer's own tokens; tried below",
}
JOBS = ("tickertape.demo.__main__", "tickertape.embed.calibrate_job", "tickertape.embed.export_job")

SMALL = 1_500
LARGE = 1_000_000
WORST = 2  # of the strings of a pattern, that are tried large
LIMIT_SECONDS = 15.0  # then it is given up
BOUND_SECONDS = 1.0  # for a megabyte, where a scan takes what it usually does
SCAN = re.compile(r"[a-z]+ [0-9]+")
SCANNED = "net sales 5 of 1234 " * 150_000
SCAN_SECONDS = 0.06
TRIES = 4  # others have the processor's caches too

processes = multiprocessing.get_context("spawn")

_parser = re._parser  # type: ignore[attr-defined]  # the standard library's own reader of patterns


# -- Finding them


@cache
def patterns() -> Mapping[str, re.Pattern]:
    """Return every pattern of the program by where it stands."""
    found: dict[str, re.Pattern] = {}
    for name in _modules():
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            for path, pattern in _held(value, attribute):
                found[f"{name}.{path}"] = pattern
        for line, pattern in _inline(name):
            found[f"{name}:{line}"] = pattern
    return found


def _modules() -> Iterator[str]:
    yield from MODULES
    for package in PACKAGES:
        yield package
        home = [str(ROOT / package)]
        for info in pkgutil.walk_packages(home, f"{package}."):
            if info.name not in JOBS:
                yield info.name


def _held(value: object, path: str, depth: int = 4) -> Iterator[tuple[str, re.Pattern]]:
    """Yield the patterns in a value: itself, or in what it is made of."""
    if isinstance(value, re.Pattern):
        yield path, value
    elif depth == 0 or isinstance(value, type):
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _held(item, f"{path}[{key!r}]", depth - 1)
    elif isinstance(value, tuple | list | set | frozenset):
        for index, item in enumerate(value):
            yield from _held(item, f"{path}[{index}]", depth - 1)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _held(getattr(value, field.name, None), f"{path}.{field.name}", depth - 1)


def _inline(name: str) -> Iterator[tuple[int, re.Pattern]]:
    """Yield what stands in a call: ``re.sub("a+", ...)``, also inside functions."""
    for line, made, node in _calls(name):
        if made:
            continue
        if isinstance(node, ast.Constant):
            yield line, re.compile(node.value)
        elif name not in NOT_LITERAL:
            raise AssertionError(f"{name}:{line}: a pattern must be a literal or a constant")


def _calls(name: str) -> Iterator[tuple[int, bool, ast.expr]]:
    """Yield (line, whether it makes a constant of the module, its pattern) of each use of re."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    # A function of one line that makes rows of a table: its results are seen in the table.
    makers = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and isinstance(function.body[-1], ast.Return)
        for node in ast.walk(function.body[-1])
        if "re.Pattern" in ast.unparse(function.returns or ast.Constant(None))
        or "TooLong" in ast.unparse(function.returns or ast.Constant(None))
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr != "escape"
            and node.args
        ):
            constant = node.func.attr == "compile" and (
                id(node) not in inside or id(node) in makers
            )
            yield node.lineno, constant, node.args[0]


# -- Making strings of them

COMMON = (" ", "\n", "a", "1", ".", "-", ",", "<", '"')


def attacks(pattern: re.Pattern, size: int) -> Iterator[str | bytes]:
    """Yield strings of ``size`` characters that are hard for a pattern."""
    source = pattern.pattern
    text = source if isinstance(source, str) else source.decode("latin-1")
    tree = _parser.parse(
        text, pattern.flags & ~re.DEBUG & ~(re.UNICODE if text is not source else 0)
    )
    pairs = {(before, unit) for before, unit in _parts(tree, "") if len(unit) + len(before) <= 400}
    whole = _sample(tree)
    units = {*COMMON, *(unit for _, unit in pairs), *(before for before, _ in pairs), whole} - {""}
    pairs |= {("", unit) for unit in units} | {(whole, unit) for unit in COMMON}
    pairs |= {("", f"{unit}{end}") for unit in units for end in (" ", "\n", ".")}
    for head, unit in sorted(pairs):
        if unit:
            yield _made(head, unit, size, source)


def _made(head: str, unit: str, size: int, source: str | bytes) -> str | bytes:
    made = (head + unit * (size // len(unit) + 1))[: size - 1] + "\x01"
    return made if isinstance(source, str) else made.encode("latin-1", "replace")


def _parts(tree: object, before: str) -> Iterator[tuple[str, str]]:
    """Yield (what stands before it, what it repeats) of each part of a pattern that repeats."""
    for item in tree:  # type: ignore[attr-defined]
        if "REPEAT" in str(item[0]):
            once = _sample(item[1][2])
            for unit in (once, *COMMON):
                yield before, unit
                yield before + once, unit
        for inner in _inner(item):
            yield from _parts(inner, before)
        before += _sample([item])


def _inner(item: tuple) -> Iterator[object]:
    kind, value = str(item[0]), item[1]
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        yield value[2]
    elif kind == "SUBPATTERN":
        yield value[3]
    elif kind == "ATOMIC_GROUP":
        yield value
    elif kind in ("ASSERT", "ASSERT_NOT"):
        yield value[1]
    elif kind == "BRANCH":
        yield from value[1]


def _sample(tree: object) -> str:
    """Return a string that the tree matches, or nearly."""
    made = ""
    for kind_, value in tree:  # type: ignore[attr-defined]
        kind = str(kind_)
        if kind == "LITERAL":
            made += chr(value)
        elif kind in ("NOT_LITERAL", "ANY"):
            made += "z"
        elif kind == "IN":
            made += _member(value)
        elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            made += _sample(value[2]) * max(1, min(value[0], 40))
        elif kind == "SUBPATTERN":
            made += _sample(value[3])
        elif kind == "ATOMIC_GROUP":
            made += _sample(value)
        elif kind == "BRANCH":
            made += _sample(value[1][0])
    return made


CATEGORIES = {
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_WORD": "-",
    "CATEGORY_DIGIT": "1",
    "CATEGORY_NOT_DIGIT": "a",
}


def _member(choices: list) -> str:
    kind, value = str(choices[0][0]), choices[0][1]
    if kind == "NEGATE":
        refused = re.compile("[" + "".join(_shown(choice) for choice in choices[1:]) + "]")
        return next(char for char in "a 1.-_z\n<(é" if not refused.match(char))
    if kind == "LITERAL":
        return chr(value)
    return chr(value[0]) if kind == "RANGE" else CATEGORIES[str(value)]


def _shown(choice: tuple) -> str:
    kind, value = str(choice[0]), choice[1]
    if kind == "LITERAL":
        return re.escape(chr(value))
    if kind == "RANGE":
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    letter = {"SPACE": "s", "WORD": "w", "DIGIT": "d"}[str(value).rpartition("_")[2]]
    return f"\\{letter.upper() if 'NOT' in str(value) else letter}"


# -- Trying them


class TooSlow(Exception):
    """The processor's time is up."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` when the block has had so much of the processor's time."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End the process when the block has had so much of the processor's time."""
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


Limit = Callable[[float], AbstractContextManager[None]]


def everywhere(pattern: re.Pattern) -> Callable[[str | bytes], None]:
    """Return the search of a whole text: at least the work of any use of it."""

    def search(text: str | bytes) -> None:
        for _ in pattern.finditer(text):
            pass

    return search


def slow(pattern: re.Pattern, seconds: float = LIMIT_SECONDS, limit: Limit = limited) -> str | None:
    """Return what makes the pattern slow; None where nothing does."""
    search = everywhere(pattern)
    costs = []
    for index, text in enumerate(attacks(pattern, SMALL)):
        took = _seconds(search, text, limit(seconds))
        if took == math.inf:
            return f"{len(text)} characters of {text[:60]!r}"
        costs.append((took, index, text))
    # Once more, for some took long because others ran.
    again = [
        (min(_seconds(search, text, nullcontext()) for _ in range(2)), index)
        for _, index, text in sorted(costs)[-4 * WORST :]
    ]
    for _, index in sorted(again)[-WORST:]:
        text = next(islice(attacks(pattern, LARGE), index, None))
        for _ in range(TRIES):
            took = _seconds(search, text, limit(seconds))
            if took <= BOUND_SECONDS * slowness() or took == math.inf:
                break
        if took > BOUND_SECONDS * slowness():
            return f"a megabyte of {text[:60]!r}: {took:.2f} s"
    return None


def slowness() -> float:
    """Return how many times its usual a plain scan takes now; 1 on a faster machine."""
    scan = everywhere(SCAN)
    return max(1.0, _seconds(scan, SCANNED, nullcontext()) / SCAN_SECONDS)


def _seconds(
    work: Callable[[str | bytes], None], text: str | bytes, limit: AbstractContextManager[None]
) -> float:
    """Return the processor's time that the work takes; infinity where it is given up."""
    started = time.thread_time()
    try:
        with limit:
            work(text)
    except TooSlow:
        return math.inf
    return time.thread_time() - started


@pytest.mark.parametrize("name", patterns())
def test_a_megabyte_of_its_worst(name: str) -> None:
    assert slow(patterns()[name]) is None


def test_the_one_that_is_made_of_a_tokenizers_tokens() -> None:
    assert slow(re.compile(rf"{words._ODD}|\[MASK\]|\[CLS\]")) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z][a-z0-9+.\-]*://",
        r"\b[\w.\-]*password=",
        r"<(?=\s*/?\s*document)",
        r"(?:a|aa)+$",
        r"\[\d+\]:? .*;",
        rb"x\s*\s*y",
    ],
)
def test_what_is_slow_is_seen(pattern: str | bytes) -> None:
    """In a process that its timer ends: Python has crashed where a handler raised in a match."""
    child = processes.Process(target=try_until_killed, args=(pattern, 0.5))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGVTALRM


def try_until_killed(pattern: str | bytes, seconds: float) -> None:
    """Be ended by the timer where the pattern is slow; come to an end where it is not."""
    slow(re.compile(pattern), seconds, ended_after)


def test_what_takes_more_than_its_second_is_seen() -> None:
    """Not quadratic, only slow: fifteen tries at every place."""
    heavy = "|".join(f"[a-z]{{1,{count}}}[0-9]" for count in range(1, 16))
    assert "a megabyte" in (slow(re.compile(heavy)) or "")


def test_every_place_is_seen() -> None:
    found = patterns()
    assert "tickertape.mask._PATTERNS[2][0]" in found  # in a table
    assert "tickertape.summarize.salience.FEATURES['revenue']" in found
    assert "tickertape.llm.servers.too_long.TOO_LONG[0].says" in found  # in a dataclass
    assert any(name.startswith("tickertape.llm.errors:") for name in found)  # in a function
