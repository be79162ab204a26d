"""From a question to an answer: search, what bears on it, a language model or the passages as they
are, and each sentence checked."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from tickertape.answer import checking, prompts, relevance
from tickertape.answer.base import EXTRACTIVE, Answer, Question, Reference, Sources, Statement
from tickertape.answer.plain import CITATION, Plain, quoted
from tickertape.llm.base import Completion, LanguageModel, Message
from tickertape.llm.errors import NoAnswer, PromptTooLong
from tickertape.llm.tokens import estimate
from tickertape.search import QUERY_CHARACTERS_MAX, Search, SearchRequest

VERBATIM_MAX = 3  # passages of an answer without a language model
SEARCHED_MORE = 2  # times what is answered from: some do not bear on the question
HISTORY_TOKENS_MAX = 1500
THINKING_TOKENS = 4096  # what a model that thinks gets beside the answer's

_NOT_SAID = re.compile(
    r"\A\W{0,3}the (?:documents|passages|sources) do(?:es)? not (?:say|answer)", re.IGNORECASE
)


class Answers:
    """Answers from a store's passages, with a language model where there is one."""

    def __init__(self, search: Search, model: LanguageModel | None, tokens_max: int = 512) -> None:
        self._search = search
        self._model = model
        self._tokens_max = tokens_max
        self._thinking_tokens = 0

    @property
    def name(self) -> str:
        """Who answers."""
        return self._model.name if self._model is not None else EXTRACTIVE

    async def ask(self, question: Question) -> Answer:
        """Return the whole answer; the errors are those of `stream`."""
        async with aclosing(self.stream(question)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("a stream ends with its answer")

    async def stream(self, question: Question) -> AsyncGenerator[Sources | str | Answer, None]:
        """Yield the sources, the answer's pieces, and last all of it, checked. The pieces together
        are its text. Closing the iterator ends what the model does for it.

        Raises:
            InvalidRecord: a field of the question is wrong.
            OutageError, TransientError, Rejected: the store or the model cannot answer.
        """
        begun = time.perf_counter()
        sources = await self._sources(question)
        yield Sources(sources)
        if self._model is None or not sources:
            answer = _without_model(sources, self.name)
            yield answer.text
        else:
            plain = Plain(checking.texts_of(sources))
            written = _Written()
            async with aclosing(self._written(question, sources)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        written.completion = piece
                        piece = plain.end()
                    else:
                        piece = plain.take(piece)
                    if piece:
                        written.text += piece
                        yield piece
            answer = await asyncio.to_thread(_checked, written, sources, self.name)
        yield replace(answer, took_ms=(time.perf_counter() - begun) * 1000)

    async def _sources(self, question: Question) -> list[Reference]:
        earlier = [turn["content"] for turn in question.history if turn["role"] == "user"]
        query = question.text
        if len(query) <= QUERY_CHARACTERS_MAX:  # else search says what is wrong with it
            query = relevance.searched(query, earlier)[-QUERY_CHARACTERS_MAX:]
        asked = SearchRequest(
            query,
            mode=question.mode,
            k=question.k * SEARCHED_MORE,
            filters=question.filters,
            collection=question.collection,
        )
        hits = await relevance.bearing(self._search, asked)
        return [Reference(number, hit) for number, hit in enumerate(hits[: question.k], 1)]

    async def _written(
        self, question: Question, sources: Sequence[Reference]
    ) -> AsyncGenerator[str | Completion, None]:
        """The model's answer; asked again with less where the prompt is too long, and with more
        room where it thinks."""
        assert self._model is not None
        history = recent(question.history)
        tokens = question.tokens_max or self._tokens_max
        while True:
            content = prompts.prompt(question.text, sources, question.instructions)
            messages = [*history, {"role": "user", "content": content}]
            said = False
            try:
                stream = self._model.stream(messages, tokens + self._thinking_tokens)
                async with aclosing(stream) as pieces:
                    async for piece in pieces:
                        said = True
                        yield piece
                return
            except PromptTooLong:
                if said or (len(sources) == 1 and not history):
                    raise
                # What bears on it most stands first; numbers stay what they are.
                sources, history = sources[: max(1, len(sources) // 2)], []
            except NoAnswer as error:
                if said or not error.cut or self._thinking_tokens:
                    raise
                self._thinking_tokens = THINKING_TOKENS


_UNTOLD = Completion("", cut=False)


@dataclass(slots=True)
class _Written:
    text: str = ""
    completion: Completion = _UNTOLD


def recent(history: Sequence[Message], tokens_max: int = HISTORY_TOKENS_MAX) -> list[Message]:
    """Return the last turns within the budget, from a user's on, each role after the other."""
    kept: list[Message] = []
    for turn in reversed(history):
        tokens_max -= estimate(turn["content"])
        if tokens_max < 0:
            break
        if kept and kept[-1]["role"] == turn["role"]:
            continue  # a template takes turns, and no two of one side
        kept.append(turn)
    kept.reverse()
    if kept and kept[-1]["role"] == "user":
        kept.pop()
    return kept[1:] if kept and kept[0]["role"] != "user" else kept


def _without_model(sources: Sequence[Reference], name: str) -> Answer:
    """The best passages, word for word: what a source says stands there."""
    best = [(source.number, quoted(source.hit.text.strip())) for source in sources[:VERBATIM_MAX]]
    text = "\n\n".join(f"{passage} [{number}]" for number, passage in best)
    said = [
        Statement(passage, (number,), cited=True, unknown=(), figures=())
        for number, passage in best
    ]
    return Answer(text or prompts.NOT_SAID, bool(best), tuple(sources), tuple(said), name)


def refuses(text: str) -> bool:
    """Tell whether an answer says that the documents do not say, and nothing after that."""
    refusal = _NOT_SAID.match(text)
    if refusal is None or len(checking.split(text)) > 1:
        return False
    rest = CITATION.sub("", text[refusal.end() :])
    # "say what it was" is one sentence; of "say. but it was" and "say: it was" the rest is another.
    return rest[:1].isspace() or not any(character.isalnum() for character in rest)


def _checked(written: _Written, sources: Sequence[Reference], name: str) -> Answer:
    text, told = written.text.strip(), written.completion
    found = not refuses(text)
    return Answer(
        text=written.text,
        found=found,
        sources=tuple(sources),
        sentences=tuple(checking.statements(text, sources)) if found else (),
        model=name,
        cut=told.cut,
        prompt_tokens=told.prompt_tokens,
        completion_tokens=told.completion_tokens,
        total_tokens=told.total_tokens,
    )
