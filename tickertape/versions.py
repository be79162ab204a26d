"""When an event was said, and which of two texts of a document is newer. Pure data.

Each has one text, which travels in headers and stands in stores, and one parser.
"""

from __future__ import annotations

from dataclasses import dataclass

from tickertape.errors import InvalidRecord

DIGITS_MAX = 18  # of what a header may say: fits 64 bits


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a record first stood in Kafka. It identifies the item of a batch."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Read what ``str`` wrote; None for anything else."""
        topic, _, rest = text.partition("/")
        partition, _, offset = rest.partition("/")
        if topic and digits(partition) and digits(offset):
            return cls(topic, int(partition), int(offset))
        return None


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """When an event was said: ``ms`` by the clock of its partition (`kafka.clock`), which never
    goes back, then where the record stood. No two events have the same."""

    ms: int
    offset: int
    partition: int = 0
    topic: str = ""

    @property
    def place(self) -> Origin:
        """Where the record stood that said it."""
        return Origin(self.topic, self.partition, self.offset)

    def __str__(self) -> str:
        return f"{self.ms}.{self.offset}.{self.partition}.{self.topic}"

    @classmethod
    def parse(cls, text: str) -> Stamp | None:
        """Read what ``str`` wrote, or ``ms.offset`` as it was before; None for anything else."""
        parts = text.split(".", 3)
        if len(parts) not in (2, 4) or not all(digits(part) for part in parts[:3]):
            return None
        ms, offset, partition = int(parts[0]), int(parts[1]), int((*parts, "0", "")[2])
        return cls(ms, offset, partition, parts[3] if len(parts) == 4 else "")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which of two texts of one document is newer: a producer's own number beats none, then the
    greater number, then what was said later.

    ``numbers`` is empty, (number,), or (number, second) of what another embedder wrote.
    """

    numbers: tuple[int, ...]
    stamp: Stamp

    def __str__(self) -> str:
        numbers = ".".join(map(str, self.numbers))
        return f"{numbers}@{self.stamp}" if numbers else str(self.stamp)

    @property
    def label(self) -> str:
        """What people and other programs are shown: ``number.offset``."""
        first = self.numbers[0] if self.numbers else self.stamp.ms
        return f"{first}.{self.stamp.offset}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read what ``str`` wrote.

        Raises:
            InvalidRecord: anything else.
        """
        numbers, at, said = text.rpartition("@")
        stamp = Stamp.parse(said)
        parts = numbers.split(".") if at else []
        if stamp is None or not all(part.isascii() and part.isdigit() for part in parts):
            raise InvalidRecord("version", "[<number>@]<ms>.<offset>.<partition>.<topic>", text)
        return cls(tuple(map(int, parts)), stamp)


def read_version(text: str, origin: Origin) -> Version:
    """Read what a `Version` is written as, now or before (``number.offset``).

    That did not tell a producer's number from Kafka's time: what cannot be a time in milliseconds
    of these decades is a number, said before all else. ``origin`` is that of the newest event,
    perhaps of this one.

    Raises:
        InvalidRecord: anything else.
    """
    number, _, offset = text.partition(".")
    if not (digits(offset) and number.isascii() and number.isdigit()):
        return Version.parse(text)
    if origin.offset != int(offset):
        origin = Origin("", 0, int(offset))
    time = TIMES_FROM_MS <= int(number) <= TIMES_TO_MS
    stamp = Stamp(int(number) if time else 0, origin.offset, origin.partition, origin.topic)
    return Version(() if time else (int(number),), stamp)


TIMES_FROM_MS = 1_000_000_000_000  # September 2001
TIMES_TO_MS = 2_000_000_000_000  # May 2033


def digits(text: str) -> bool:
    """True for an integer >= 0 of at most `DIGITS_MAX` digits."""
    return text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX
