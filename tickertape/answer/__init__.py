"""Grounded answers: what is asked, found, written and checked."""

from tickertape.answer.base import Answer, Figure, Question, Source, Sources, Statement
from tickertape.answer.shown import shown, source_shown
from tickertape.answer.writing import Answers

__all__ = [
    "Answer",
    "Answers",
    "Figure",
    "Question",
    "Source",
    "Sources",
    "Statement",
    "shown",
    "source_shown",
]
