"""Every document and every batch against the evidence. Pure.

What is expected follows from the records as they stand on their topics, and from nothing that a
worker said: a document's versions order its records, and the newest one holds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from loadtest.chaos.evidence import Evidence, Head, Input, Origin, Vector

CLASSES = ("lost", "doubled", "stale", "misordered", "miscounted")
Findings = dict[str, list[str]]
Sent = tuple[str, bytes | None, bytes | None]  # topic, key, value
OF_A_TOPIC_THAT_IS_GONE = re.compile(r"r\d+-")
FINISHED = ("completed", "failed")


def reconcile(
    evidence: Evidence, sent: Iterable[tuple[str, bytes | None, bytes | None]]
) -> Findings:
    """Return what is wrong, a line each, by class. ``sent``: what the broker acknowledged."""
    return _Reconciler(evidence).run(Counter(sent))


class _Reconciler:
    def __init__(self, evidence: Evidence) -> None:
        self._e = evidence
        self.found: Findings = {name: [] for name in CLASSES}
        own = {i.origin[0] for i in evidence.inputs}
        self._dead = {letter.origin for letter in evidence.letters}
        # Dead before they were stored, and dead after, in the summary's flow.
        self._unstored = {x.origin for x in evidence.letters if x.topic[: -len("-dlq")] in own}
        self._documents: dict[str, list[Input]] = defaultdict(list)
        for record in evidence.inputs:
            if record.id is not None:
                self._documents[record.id].append(record)
        made = set(evidence.summaries)
        self._both = {
            r.origin
            for r in evidence.inputs
            if r.origin in self._dead - self._unstored
            and ((r.id, r.mark) in made or self._outdated(r))
        }

    def run(self, sent: Counter[Sent]) -> Findings:
        self._topics(sent)
        heads: dict[str, list[Head]] = defaultdict(list)
        for head in self._e.heads:
            heads[head.id].append(head)
        vectors: dict[str, list[Vector]] = defaultdict(list)
        for vector in self._e.vectors:
            vectors[vector.id].append(vector)
        summaries: dict[str, list[str]] = defaultdict(list)
        for id, mark in self._e.summaries:
            summaries[id].append(mark)
        for id, records in self._documents.items():
            alive = [r for r in records if r.origin not in self._unstored]
            if records[0].part is not None:
                self._in_parts(id, alive, heads.pop(id, []))
                continue
            last = _last(alive)
            self._stored(id, records, last, heads.pop(id, []))
            self._embedded(id, alive, last, vectors.pop(id, []))
            if records[0].origin[0] == self._e.summarised:
                self._summarised(id, last, summaries.pop(id, []))
        for name, extra in (("head", heads), ("vector", vectors), ("summary", summaries)):
            never = [id for id in extra if not OF_A_TOPIC_THAT_IS_GONE.match(id)]
            self._add("doubled", (f"{id}: a {name} of a document never sent" for id in never))
        if self._e.loose:
            self._add("doubled", [f"store: {self._e.loose} rows that belong to no document"])
        self._batches()
        return self.found

    def _outdated(self, record: Input) -> bool:
        others = self._documents[record.id] if record.id is not None else []
        return any(other.version > record.version for other in others)

    def _add(self, name: str, lines: Iterable[str]) -> None:
        self.found[name].extend(lines)

    def _topics(self, sent: Counter[Sent]) -> None:
        """What the broker acknowledged is there, and poison is a dead letter."""
        there = Counter((i.origin[0], i.key, i.value) for i in self._e.inputs)
        missing = sent - there
        self._add("lost", (f"{key!r}: acknowledged, not on {topic}" for topic, key, _ in missing))
        for record in self._e.inputs:
            if record.id is None and record.origin not in self._dead:
                self._add("lost", [f"{record.key!r} at {record.origin}: poison, no dead letter"])

    def _stored(
        self, id: str, records: Sequence[Input], last: Sequence[Input], heads: Sequence[Head]
    ) -> None:
        if not last:
            if heads:
                self._add("doubled", [f"{id}: all its records are dead letters, yet stored"])
            return
        if not heads:
            self._add("lost", [f"{id}: neither stored nor a dead letter; {_tell(last)}"])
            return
        if len(heads) > 1:
            self._add("doubled", [f"{id}: in {[head.collection for head in heads]}"])
        head = heads[0]
        if head.origin in self._unstored:
            self._add("doubled", [f"{id}: stored from {head.origin}, which is a dead letter"])
        if head.deleted:
            if head.chunks:
                self._add("stale", [f"{id}: deleted, and {len(head.chunks)} chunks are there"])
            if last[0].text is not None:
                self._add("lost", [f"{id}: deleted at {head.version}; {_tell(last)}"])
            return
        if head.version != last[0].version:
            self._add("stale", [f"{id}: version {head.version}; {_tell(last)}"])
        texts = [r.text for r in last]
        if not any(text is not None and _covers(text, head) for text in texts):
            known = [r.mark for r in records if r.text is not None and _covers(r.text, head)]
            shown = f"the text of {known[0]}" if known else "chunks that make none of its texts"
            self._add("stale" if known else "doubled", [f"{id}: {shown}; {_tell(last)}"])

    def _in_parts(self, id: str, alive: Sequence[Input], heads: Sequence[Head]) -> None:
        """Of each part the newest text is stored, and nothing else."""
        newest: dict[int | None, Input] = {}
        for record in sorted(alive, key=lambda r: r.version):
            newest[record.part] = record
        wanted = {part: record.text for part, record in newest.items()}
        if len(heads) != 1:
            kind = "doubled" if heads else "lost"
            self._add(kind, [f"{id}: {len(heads)} heads of a document in parts"] if wanted else [])
            return
        there = {ordinal: text for ordinal, _, _, text in heads[0].chunks}
        self._add("lost", (f"{id}: part {part} is missing" for part in wanted.keys() - there))
        never = there.keys() - wanted
        self._add("doubled", (f"{id}: part {part} was never sent" for part in never))
        for part in there.keys() - never:
            if there[part] != wanted[part]:
                self._add("stale", [f"{id}: part {part} is {there[part]!r}, not {wanted[part]!r}"])

    def _embedded(
        self, id: str, alive: Sequence[Input], last: Sequence[Input], vectors: Sequence[Vector]
    ) -> None:
        """`embeddings` has every chunk of the newest text, behind all that is older."""
        at: Input | None = None
        behind = 0
        for place, vector in enumerate(vectors):
            said = [r for r in alive if r.text is not None and r.label == vector.label]
            later = [r for r in said if at is None or not _goes_back(alive, at, r)]
            if not later:
                behind = place + 1
                continue
            at = min(later, key=lambda r: r.version)
        wanted = {r.mark for r in last if r.mark is not None}
        if not wanted or any(r.mark is None for r in last):
            return
        labels = {r.label for r in alive if r.mark in wanted}
        chunks: dict[str, set[int]] = defaultdict(set)
        counts = {v.label: v.chunk_count for v in vectors if v.label in labels}
        for vector in vectors[behind:]:
            chunks[vector.label].add(vector.chunk)
        if not any(chunks[label] == set(range(count)) for label, count in counts.items()):
            late = f" behind {vectors[behind - 1].label}" if behind else ""
            kind = "misordered" if behind else "lost"
            self._add(kind, [f"{id}: embeddings lack its vectors{late}; {_tell(last)}"])

    def _summarised(self, id: str, last: Sequence[Input], marks: Sequence[str]) -> None:
        """`llm-results` ends with the newest text's."""
        if any(r.mark is None or r.origin in self._dead for r in last):
            return
        wanted = {r.mark for r in last}
        if not marks or marks[-1] not in wanted:
            kind = "misordered" if wanted.intersection(marks) else "lost"
            end = marks[-1] if marks else None
            self._add(kind, [f"{id}: llm-results end with {end}; {_tell(last)}"])

    def _batches(self) -> None:
        records: dict[str, list[Input]] = defaultdict(list)
        for record in self._e.inputs:
            if record.batch is not None:
                records[record.batch].append(record)
        for batch in records.keys() | self._e.declared.keys():
            found = self._e.batches.get(batch)
            if found is None:
                self._add("miscounted", [f"{batch}: nobody says where it stands"])
            else:
                wrong = self._wrong(batch, records[batch], found)
                self._add("miscounted", (f"{batch}: {what}; {dict(found)}" for what in wrong))

    def _wrong(
        self, batch: str, records: Sequence[Input], found: Mapping[str, object]
    ) -> Iterable[str]:
        def count(name: str) -> int:
            value = found[name]
            return value if isinstance(value, int) else -1

        origins: set[Origin] = {r.origin for r in records}
        dead = len(origins & self._dead)
        # A summary that was asked for twice may fail for good once, and the other time be made, or
        # be of no use any more: it counts as done, and its letter is there.
        if dead - len(origins & self._both) <= count("dead") <= dead:
            dead = count("dead")
        again = len(records) - len({r.value for r in records})
        seen, repeats = count("seen"), count("repeats")
        declared = self._e.declared.get(batch)
        expected = {
            "seen and repeats": (seen + repeats, len(records)),
            "dead": (count("dead"), dead),
            "done": (count("done"), seen - dead),
            "retrying": (count("retrying"), 0),
            "processed": (count("processed_documents"), seen),
            # What was sent once more counts beyond what was declared, where it is no repeat.
            "total": (count("total_documents"), max(declared or 0, seen)),
        }
        for name, (is_, should) in expected.items():
            if is_ != should:
                yield f"{name} is {is_}, should be {should}"
        if repeats > again:
            yield f"{repeats} repeats, and {again} records were sent again"
        state = "failed" if dead else "completed"
        if found["status"] != state:
            yield f"it is {found['status']}, should be {state}"


def _last(alive: Sequence[Input]) -> list[Input]:
    """What has to be shown: of the texts that no later delete removed the newest, else the latest
    delete."""
    deletes = [r for r in alive if r.text is None]
    said = [
        r
        for r in alive
        if r.text is not None and not any(r.version[1] < d.version[1] for d in deletes)
    ]
    if said:
        return [max(said, key=lambda r: r.version)]
    return [max(deletes, key=lambda r: r.version[1])] if deletes else []


def _goes_back(alive: Sequence[Input], before: Input, after: Input) -> bool:
    """Whether ``after`` is older, with no delete between them that let it begin anew."""
    if after.version >= before.version:
        return False
    between = (before.version[1], after.version[1])
    return not any(r.text is None and between[0] < r.version[1] < between[1] for r in alive)


def _covers(text: str, head: Head) -> bool:
    """Whether the chunks are this text's: in order, no more and no less than what it says."""
    at = 0
    for place, (ordinal, start, end, passage) in enumerate(head.chunks):
        if ordinal != place or text[start:end] != passage or text[at:start].strip():
            return False
        at = max(at, end)
    return head.chunk_count == len(head.chunks) > 0 and not text[at:].strip()


def _tell(last: Sequence[Input]) -> str:
    return f"newest: {[(r.mark or 'delete', r.version, r.origin) for r in last]}"
