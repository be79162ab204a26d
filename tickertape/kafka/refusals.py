"""What a producer's error means: for the record, for its topic, or for a while.

=============  ===============================================================================
the broker     what follows
=============  ===============================================================================
refuses it     `PermanentError`: this record will never be taken, by that topic
takes nothing  `OutageError`, by the name ``kafka:<topic>``: no record is taken there until
               somebody mends it (rights, policy, a name that is none): what needs it is held
is away        `TransientError`: the record is sent again
=============  ===============================================================================

https://kafka.apache.org/protocol#protocol_error_codes
"""

from __future__ import annotations

from aiokafka import errors as kafka

from tickertape.errors import OutageError, PermanentError, Rejected, TooLarge, TransientError

TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)
# UnknownError: also codes that aiokafka does not know, as 87, "the broker failed to validate it"
# (a record without a key for a compacted topic).
REFUSED = (kafka.InvalidTimestampError, kafka.InvalidRequestError, kafka.UnknownError)
OF_THE_BATCH = (*TOO_LARGE, *REFUSED)  # one record of a batch is enough to have all refused
TAKES_NOTHING = (
    kafka.TopicAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.DelegationTokenAuthorizationFailed,
    kafka.DelegationTokenExpired,
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
    kafka.InvalidTopicError,
    kafka.PolicyViolationError,
    kafka.InvalidRequiredAcksError,
    kafka.UnsupportedForMessageFormatError,
    kafka.UnsupportedVersionError,
    kafka.UnsupportedCodecError,
    kafka.UnrecognizedBrokerVersion,
    kafka.IncompatibleBrokerVersion,
    kafka.SecurityDisabled,
)


def verdict(topic: str, error: Exception, reached: bool = True) -> Exception:
    """Return our error for one of the producer's.

    ``reached`` is False where no broker has answered since the record was given to the producer:
    then a topic that is not known says nothing of the topic.
    """
    said = f"{topic}: {type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, TOO_LARGE):
        return TooLarge(f"the record is over the topic's or the producer's limit: {error}")
    if isinstance(error, REFUSED):
        return Rejected(f"the broker refuses the record: {said}")
    if isinstance(error, TAKES_NOTHING):
        return OutageError(f"the broker takes nothing: {said}", dependency=f"kafka:{topic}")
    if isinstance(error, kafka.UnknownTopicOrPartitionError):
        reason = f"the topic {topic} does not exist" if reached else "no broker answers"
        return TransientError(reason, dependency="kafka")
    if isinstance(error, kafka.KafkaError):
        return TransientError(f"not acknowledged: {said}", dependency="kafka")
    return PermanentError(f"not a record Kafka takes: {error}")
