"""The rule of what is newer: which texts of a document are shown, whatever came in which order.

An `Edition` is an event that says what a document is, whole or (vectors made elsewhere) one part
of it. It is shown unless a delete removed it, or an edition that is not removed replaces it:

- a delete removes what was said before it, by whomever: in the collection that it names, or in all
  that its topic ever wrote to. Where both have a producer's own number, the greater number decides;
- an edition replaces an older one (`Version`) of the same part, of another model, of a part beyond
  its own count, and a whole text anything that is older.

`Editions` is what a store remembers of a document to answer that. It forgets an edition only
where another replaces it that every delete would spare longer: so every order of arrival ends
alike, and of a document without numbers one edition is remembered, of one in parts one a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tickertape.versions import Stamp, Version

WHOLE = -1
ANY = ""  # no topic: a delete that names the collection, whoever wrote there


@dataclass(frozen=True, slots=True)
class Edition:
    """One event that says what a document is. ``part`` counts from 0, of ``parts``; `WHOLE` for
    the whole text. ``model`` is that of a part's vector."""

    version: Version
    part: int = WHOLE
    parts: int = 0
    model: str = ""

    @property
    def kind(self) -> tuple[bool, int, str]:
        """What it replaces in other parts than its own depends on this alone."""
        return self.part == WHOLE, self.parts, self.model

    def replaces(self, other: Edition) -> bool:
        """Whether it takes the other's place."""
        if self.version <= other.version:
            return False
        if self.part == other.part or WHOLE in (self.part, other.part):
            return True
        return self.model != other.model or self.parts <= other.part

    def outlives(self, other: Edition) -> bool:
        """Whether it is newer, and every delete that removes it removes the other too."""
        mine, theirs = self.version, other.version
        alike = bool(mine.numbers) == bool(theirs.numbers)
        return alike and mine > theirs and mine.stamp > theirs.stamp

    def covers(self, other: Edition) -> bool:
        """Whether it replaces whatever the other does in other parts than the other's own."""
        if self.part == WHOLE:
            return True
        alike = other.part != WHOLE and self.model == other.model
        return alike and self.parts <= other.parts


@dataclass(frozen=True, slots=True)
class Deletes:
    """All deletes of an id that one topic said, in short. Joining is the greater of each."""

    latest: Stamp | None = None
    unnumbered: Stamp | None = None  # the latest of those without a number
    numbered: Version | None = None  # the greatest of those with one

    @classmethod
    def of(cls, version: Version) -> Deletes:
        """Return those of one delete."""
        if version.numbers:
            return cls(version.stamp, None, version)
        return cls(version.stamp, version.stamp)

    def __or__(self, other: Deletes) -> Deletes:
        return Deletes(
            _latest(self.latest, other.latest),
            _latest(self.unnumbered, other.unnumbered),
            max((v for v in (self.numbered, other.numbered) if v is not None), default=None),
        )

    def removes(self, version: Version) -> bool:
        """Whether one of them removes an edition of this version."""
        if not version.numbers:
            return self.latest is not None and version.stamp < self.latest
        if self.unnumbered is not None and version.stamp < self.unnumbered:
            return True
        return self.numbered is not None and version < self.numbered

    @property
    def versions(self) -> list[Version]:
        """Versions of deletes that come to the same as all of them: at most one of each field."""
        found = [Version((), self.unnumbered)] if self.unnumbered is not None else []
        if self.numbered is not None:
            found.append(self.numbered)
        if self.latest is not None and all(one.stamp != self.latest for one in found):
            found.append(Version((0,), self.latest))
        return found

    @property
    def version(self) -> Version | None:
        """The latest, as a document that is deleted names it."""
        if self.numbered is not None and self.numbered.stamp == self.latest:
            return self.numbered
        return None if self.latest is None else Version((), self.latest)

    def dumps(self) -> str:
        """Return it as text."""
        return orjson.dumps([str(v) if v else None for v in _fields(self)]).decode()

    @classmethod
    def loads(cls, text: str) -> Deletes:
        """Read what `dumps` wrote."""
        latest, unnumbered, numbered = orjson.loads(text)
        return cls(
            Stamp.parse(latest) if latest else None,
            Stamp.parse(unnumbered) if unnumbered else None,
            Version.parse(numbered) if numbered else None,
        )


@dataclass(eq=False)
class Editions:
    """What a store remembers of one document. ``deletes`` are those of its id, by topic (also of
    topics that have not written it) or `ANY`."""

    topics: set[str] = field(default_factory=set)  # all that ever wrote it, in vain too
    deletes: Mapping[str, Deletes] = field(default_factory=dict)
    _kept: dict[int, list[Edition]] = field(default_factory=dict)  # by part
    _tops: dict[tuple[bool, int, str], Edition] = field(default_factory=dict)  # newest of a kind

    def copy(self) -> Editions:
        """Return another that can be changed."""
        kept = {part: list(found) for part, found in self._kept.items()}
        return Editions(set(self.topics), dict(self.deletes), kept, dict(self._tops))

    def add(self, edition: Edition, topic: str) -> None:
        """An event of this topic said what the document is."""
        waits = self.waits_for(topic)
        self.topics.add(topic)
        if waits:
            self._prune()
        if self.find(edition) is not None or self._removes(edition):
            return
        top = self._tops.get(edition.kind)
        self._take(edition)
        one_model = len({one.model for one in self._tops.values()}) == 1
        alone = edition.part != WHOLE and (top is not None or (one_model and self._fits(edition)))
        if not alone:
            self._forget(list(self._all()))
        else:
            covered = [one for one in self._tops.values() if edition.covers(one)]
            self._forget([*self._kept[edition.part], *covered])

    def delete(self, topic: str, deletes: Deletes) -> None:
        """The topic deleted the id."""
        self.deletes = {**self.deletes, topic: self.deletes.get(topic, Deletes()) | deletes}
        if topic == ANY or topic in self.topics:
            self._prune()

    def join(self, other: Editions) -> None:
        """Remember what another store does of the same document, too."""
        self.topics |= other.topics
        for topic, said in other.deletes.items():
            self.deletes = {**self.deletes, topic: self.deletes.get(topic, Deletes()) | said}
        self._keep([*self._all(), *(one for one in other._all() if self.find(one) is None)])
        self._prune()
        self._forget(list(self._all()))

    def find(self, edition: Edition) -> Edition | None:
        """Return the same edition, where it is remembered. A place alone does not tell: a topic
        that was made anew, or a log that was cut off, has other records there."""
        kept = self._kept.get(edition.part, ())
        return next((one for one in kept if one.version == edition.version), None)

    def shows(self, edition: Edition) -> bool:
        """Whether this edition, which was added, is shown."""
        return self.find(edition) is not None and self._shown(edition)

    def would_show(self, edition: Edition, topic: str) -> bool:
        """Whether it were shown if it was added."""
        if self.waits_for(topic):
            with_it = self.copy()
            with_it.add(edition, topic)
            return with_it.shows(edition)
        return not self.outdates(edition)

    def outdates(self, edition: Edition) -> bool:
        """Whether something newer is shown, or deleted it."""
        return self._removes(edition) or not self._shown(edition)

    def waits_for(self, topic: str) -> bool:
        """Whether the topic has deleted the id and never written it: that holds once it does."""
        return topic in self.deletes and topic not in self.topics

    def concerns_no_other(self, edition: Edition, topic: str) -> bool:
        """Whether it decides of its own part alone: one more of the newest model, in a document
        that has no parts beyond its count."""
        newest = max(self._tops.values(), key=lambda top: top.version, default=None)
        if newest is None or WHOLE in (newest.part, edition.part) or topic not in self.topics:
            return False
        return newest.model == edition.model and self._fits(edition)

    @property
    def shown(self) -> list[Edition]:
        """What is shown: one whole text, or parts; by part."""
        found = [edition for edition in self._all() if self._shown(edition)]
        return sorted(found, key=lambda edition: edition.part)

    @property
    def deleted(self) -> Deletes:
        """The deletes that hold for the document."""
        found = Deletes()
        for topic, said in self.deletes.items():
            if topic == ANY or topic in self.topics:
                found |= said
        return found

    def deleted_by(self, topic: str) -> Deletes:
        """The deletes that would hold if the topic had written the document."""
        return self.deleted | self.deletes.get(topic, Deletes())

    def dumps(self) -> str:
        """Return it as text, less the deletes."""
        topics: list[str] = sorted(self.topics | {e.version.stamp.topic for e in self._all()})
        models = sorted({edition.model for edition in self._all()})
        kept = [_row(edition, topics, models) for edition in self._all()]
        wrote = [topic in self.topics for topic in topics]
        return orjson.dumps([topics, wrote, models, kept]).decode()

    @classmethod
    def loads(cls, text: str, deletes: Mapping[str, Deletes]) -> Editions:
        """Read what `dumps` wrote. A delete that came since removes what it removes."""
        topics, wrote, models, rows = orjson.loads(text)
        editions = [
            Edition(
                Version(tuple(map(int, numbers)), Stamp(ms, offset, partition, topics[topic])),
                part,
                parts,
                models[model],
            )
            for numbers, ms, offset, partition, topic, part, parts, model in rows
        ]
        written = {topic for topic, did in zip(topics, wrote, strict=True) if did}
        found = cls(written, deletes)
        found._keep(editions)
        if deletes:
            found._prune()
        return found

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Editions)
            and self.dumps() == other.dumps()
            and self.deletes == other.deletes
        )

    def _removes(self, edition: Edition) -> bool:
        return self.deleted.removes(edition.version)

    def _shown(self, edition: Edition) -> bool:
        others = (*self._tops.values(), *self._kept.get(edition.part, ()))
        return not any(other.replaces(edition) for other in others)

    def _fits(self, edition: Edition) -> bool:
        """Whether no part is beyond its count."""
        return edition.part != WHOLE and edition.parts > max(self._kept, default=WHOLE)

    def _prune(self) -> None:
        deleted = self.deleted
        self._keep([e for e in self._all() if not deleted.removes(e.version)])

    def _forget(self, candidates: Iterable[Edition]) -> None:
        """Forget those of them that can never be shown again, nor keep another from it."""
        gone = {edition for edition in candidates if self._idle(edition)}
        if not gone:
            return
        for part in {edition.part for edition in gone}:
            self._kept[part] = [e for e in self._kept[part] if e not in gone]
        if not gone.isdisjoint(self._tops.values()):
            self._keep(list(self._all()))

    def _idle(self, edition: Edition) -> bool:
        others = (*self._tops.values(), *self._kept.get(edition.part, ()))
        longer = [other for other in others if other.outlives(edition)]
        return any(other.replaces(edition) for other in longer) and any(
            other.covers(edition) for other in longer
        )

    def _keep(self, editions: Iterable[Edition]) -> None:
        self._kept, self._tops = {}, {}
        for edition in editions:
            self._take(edition)

    def _take(self, edition: Edition) -> None:
        self._kept.setdefault(edition.part, []).append(edition)
        top = self._tops.get(edition.kind)
        if top is None or top.version < edition.version:
            self._tops[edition.kind] = edition

    def _all(self) -> Iterator[Edition]:
        for part in self._kept.values():
            yield from part


def _row(edition: Edition, topics: list[str], models: list[str]) -> list[Any]:
    numbers, stamp = edition.version.numbers, edition.version.stamp
    return [
        # as text: a producer's number may have more than 64 bits
        [str(number) for number in numbers],
        *(stamp.ms, stamp.offset, stamp.partition, topics.index(stamp.topic)),
        *(edition.part, edition.parts, models.index(edition.model)),
    ]


def _latest(one: Stamp | None, other: Stamp | None) -> Stamp | None:
    return max((stamp for stamp in (one, other) if stamp is not None), default=None)


def _fields(deletes: Deletes) -> tuple[Stamp | Version | None, ...]:
    return deletes.latest, deletes.unnumbered, deletes.numbered
