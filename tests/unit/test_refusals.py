"""Each error that a producer may raise has a meaning: none is sent again for ever in silence."""

from __future__ import annotations

import pytest
from aiokafka import errors as kafka

from tickertape.errors import ErrorClass, OutageError, PermanentError, TransientError, classify
from tickertape.kafka.refusals import OF_THE_BATCH, TAKES_NOTHING, verdict

ALL = [
    each
    for each in vars(kafka).values()
    if isinstance(each, type)
    and issubclass(each, kafka.KafkaError)
    and each is not kafka.BrokerResponseError  # a base
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_what_may_pass_is_sent_again_and_what_will_not_is_not(kind: type[Exception]) -> None:
    found = verdict("t", kind())
    if kind.retriable:
        assert isinstance(found, TransientError)
    if kind in OF_THE_BATCH:
        assert isinstance(found, PermanentError)
    if kind in TAKES_NOTHING:
        assert isinstance(found, OutageError)
        assert found.dependency == "kafka:t"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_whatever_names_rights_or_secrets_holds_and_spends_no_attempt(
    kind: type[Exception],
) -> None:
    if any(word in kind.__name__ for word in ("Authori", "Authenticat", "Sasl", "Policy")):
        # A group's rights are the consumer's matter.
        expected = ErrorClass.TRANSIENT if "Group" in kind.__name__ else ErrorClass.OUTAGE
        assert classify(verdict("t", kind())) is expected


def test_a_topic_that_is_not_known_while_no_broker_answers_is_not_called_missing() -> None:
    error = kafka.UnknownTopicOrPartitionError()
    assert str(verdict("t", error)) == "the topic t does not exist"
    assert str(verdict("t", error, reached=False)) == "no broker answers"


def test_what_is_no_record_is_refused() -> None:
    assert isinstance(verdict("t", ValueError("neither key nor value")), PermanentError)
