"""Grounded answers: what is asked, found, written and checked."""

from tickertape.answer.base import Answer, Figure, Question, Reference, Sources, Statement
from tickertape.answer.shown import shown, source_shown
from tickertape.answer.writing import Answers

__all__ = [
    "Answer",
    "Answers",
    "Figure",
    "Question",
    "Reference",
    "Sources",
    "Statement",
    "shown",
    "source_shown",
]
