"""One document's way through an LLM whose context may be shorter than the document.

What fits is one request. What does not is cut into parts that do; notes are made of each part,
and the summary of the notes (of notes of notes, if need be). Nothing is left out silently. How
many tokens a text has is an estimate, for the tokenizer is the server's: where the server says
"too long", or has no room left for the answer, the part is halved.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from tickertape.errors import OutageError, Rejected, TransientError
from tickertape.llm.base import DEPENDENCY, Completion, LanguageModel
from tickertape.llm.errors import NoAnswer, PromptTooLong
from tickertape.llm.tokens import estimate, least
from tickertape.summarize import prompts
from tickertape.summarize.pieces import pieces

ANSWER_TOKENS_MAX = 1024
TOKENS_PER_SENTENCE = 96  # a sentence full of figures has 40 to 80
NOTES_SENTENCES = 5
NOTES_TOKENS = (32, 256)  # least and most; half of the part's own in between
TEMPLATE_TOKENS = 32  # what the chat template adds
PART_TOKENS_MIN = 64  # with less room than this the model is too small for the prompt
PART_CHARACTERS_MIN = 64  # a part of this size that does not fit never will
PIECE_CHARACTERS_MAX = 1000
THINKING_TOKENS = 4096  # what a model that thinks gets beside the answer's
ROUNDS_MAX = 8  # notes of notes of ...: each round is half as long at most

_WHOLE_SENTENCES = re.compile(r"\A.*[.!?][\"')\]\u2019\u201d]*(?=\s)", re.DOTALL)


@dataclass(slots=True)
class Context:
    """What is known of the model, learnt from its answers.

    ``tokens``: prompt and answer may have so many together; None as long as nobody said.
    ``silent``: the server leaves out what does not fit, without an error. ``thinking_tokens``:
    what the model needs to think before it answers.
    """

    tokens: int | None = None
    silent: bool = False
    thinking_tokens: int = 0


class Reading:
    """Reads one document; the token counts are those of all its requests."""

    def __init__(self, model: LanguageModel, context: Context, sentences: int, about: str) -> None:
        self.prompt_tokens = self.completion_tokens = self.total_tokens = 0
        self._model = model
        self._context = context
        self._task = prompts.SUMMARY.format(sentences=sentences)
        self._answer_tokens = min(ANSWER_TOKENS_MAX, 64 + TOKENS_PER_SENTENCE * sentences)
        self._about = about

    async def summary(self, text: str) -> str:
        """Return the summary.

        Raises:
            OutageError: the model's context is too small for any prompt; and `LanguageModel`'s.
        """
        head = self._about
        for _ in range(ROUNDS_MAX):
            try:
                return await self._ask(self._task, head, text, self._answer_tokens)
            except PromptTooLong:
                text = "\n".join(await self._all_notes(text))
                head = f"{self._about}{prompts.COMBINED}\n"
        raise Rejected(f"llm: after {ROUNDS_MAX} rounds of notes the text is still too long")

    async def _all_notes(self, text: str) -> list[str]:
        parts = await asyncio.to_thread(split, text, self._room(text))
        notes = [self._notes(part, f"{i} of {len(parts)}") for i, part in enumerate(parts, 1)]
        return await _all(notes)

    def _room(self, text: str) -> int:
        """Return how many tokens of text fit a request for notes; half the text if unknown."""
        if self._context.tokens is None:
            return max(PART_TOKENS_MIN, estimate(text) // 2)
        prompt = estimate(prompts.message(prompts.NOTES, self._about, "")) + TEMPLATE_TOKENS
        room = self._context.tokens - prompt - self._thinking_tokens()
        # Of the room, two parts for the text and at most one for the notes.
        room = max(room - NOTES_TOKENS[1], room * 2 // 3)
        if room < PART_TOKENS_MIN:
            raise OutageError(
                f"llm: a context of {self._context.tokens} tokens is too small for the prompt; "
                "see MODEL_NAME, and the server's maximum length",
                dependency=DEPENDENCY,
            )
        return room

    async def _notes(self, part: str, place: str) -> str:
        tokens = min(max(estimate(part) // 2, NOTES_TOKENS[0]), NOTES_TOKENS[1])
        task = prompts.NOTES.format(place=place, sentences=NOTES_SENTENCES)
        try:
            return await self._ask(task, self._about, part, tokens)
        except PromptTooLong:
            if len(part) <= PART_CHARACTERS_MIN:
                raise
            halves = split(part, self._room(part))
            return "\n".join(await _all([self._notes(half, place) for half in halves]))

    async def _ask(self, task: str, head: str, text: str, answer_tokens: int) -> str:
        """Ask once.

        Raises:
            PromptTooLong: it does not fit, or leaves less room than the answer needed.
        """
        # Megabytes of text: not on the event loop, here and below.
        prompt = await asyncio.to_thread(prompts.message, task, head, text)
        context = self._context.tokens
        if context is not None:
            answer_tokens = min(answer_tokens, max(1, context // 3))
            # Where the server says when it is too much, what might fit is worth asking.
            if self._context.silent:
                used = estimate(prompt) + answer_tokens
            else:
                used = await asyncio.to_thread(least, prompt)
            if used > context:
                raise PromptTooLong("llm: longer than the context", context)
        answer_tokens += self._thinking_tokens()
        try:
            completion = await self._complete(prompt, answer_tokens)
        except PromptTooLong as error:
            if error.limit is not None:
                self._context.tokens = error.limit
                self._context.silent |= error.silent
            raise
        self._count(completion)
        if completion.cut and self._is_full(
            completion.prompt_tokens, completion.completion_tokens, answer_tokens
        ):
            raise PromptTooLong("llm: no room left for the answer", context)
        return _plain(completion)

    async def _complete(self, prompt: str, answer_tokens: int) -> Completion:
        """Ask, and once more with room to think where that is what the answer lacked.

        Raises:
            PromptTooLong: as `_ask`.
            NoAnswer: the model still thinks.
        """
        messages = [{"role": "user", "content": prompt}]
        try:
            return await self._model.complete(messages, answer_tokens)
        except NoAnswer as error:
            if not error.cut or self._context.thinking_tokens:
                raise
            if self._is_full(error.prompt_tokens, error.completion_tokens, answer_tokens):
                raise PromptTooLong("llm: no room left to think", self._context.tokens) from None
        self._context.thinking_tokens = THINKING_TOKENS
        try:
            return await self._model.complete(messages, answer_tokens + self._thinking_tokens())
        except PromptTooLong as error:
            # The context is smaller than what was asked for: half of it, then.
            if self._context.tokens is not None or error.limit is None:
                raise
            self._context.tokens = error.limit
        return await self._model.complete(messages, answer_tokens + self._thinking_tokens())

    def _is_full(self, prompt_tokens: int, completion_tokens: int, asked: int) -> bool:
        """Tell whether an answer that was cut had less room than it asked for.

        vLLM gives an answer the room that the prompt left, and no error. Others have a bound of
        their own on answers, which a shorter prompt does not change.
        """
        if not 0 < completion_tokens < asked:
            return False
        context = self._context.tokens
        return context is None or prompt_tokens + completion_tokens >= context * 0.9

    def _thinking_tokens(self) -> int:
        """At most half of the context, where that is known."""
        context = self._context.tokens
        thinking = self._context.thinking_tokens
        return thinking if context is None else min(thinking, context // 2)

    def _count(self, completion: Completion) -> None:
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        self.total_tokens += completion.total_tokens


def split(text: str, tokens_max: int) -> list[str]:
    """Cut a text between sentences into parts of about ``tokens_max`` tokens, at least two.

    Only spaces between parts are left out.
    """
    tokens_max = min(tokens_max, max(1, estimate(text) // 2))
    spans = pieces(text, max(1, min(PIECE_CHARACTERS_MAX, tokens_max)))
    parts: list[tuple[int, int]] = []
    used = 0
    for start, end in spans:
        # With the gap before it: a million spaces are tokens too.
        more = estimate(text[parts[-1][1] : end]) if parts else 0
        if parts and used + more <= tokens_max:
            parts[-1] = (parts[-1][0], end)
            used += more
        else:
            parts.append((start, end))
            used = estimate(text[start:end])
    return [text[start:end] for start, end in parts]


async def _all(work: Sequence[Coroutine[None, None, str]]) -> list[str]:
    """Do all at once; the first failure, or a cancel, ends the others too."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _plain(completion: Completion) -> str:
    """Return the answer without a sentence cut in two."""
    text = completion.text
    if completion.cut and (whole := _WHOLE_SENTENCES.match(text)):
        text = whole[0]
    if not text:
        raise TransientError("llm: an empty answer", dependency=DEPENDENCY)
    return text
