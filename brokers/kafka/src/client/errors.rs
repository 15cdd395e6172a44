//! The protocol's error codes, as far as the client acts on them.

use kafka_protocol::error::ResponseError;

/// Codes by the names that the protocol's documentation has for them.
macro_rules! codes {
    ($($name:ident = $error:ident;)*) => {
        $(pub(super) const $name: i16 = ResponseError::$error.code();)*
    };
}

codes! {
    OFFSET_OUT_OF_RANGE = OffsetOutOfRange;
    UNKNOWN_TOPIC_OR_PARTITION = UnknownTopicOrPartition;
    COORDINATOR_LOAD_IN_PROGRESS = CoordinatorLoadInProgress;
    COORDINATOR_NOT_AVAILABLE = CoordinatorNotAvailable;
    NOT_COORDINATOR = NotCoordinator;
    ILLEGAL_GENERATION = IllegalGeneration;
    UNKNOWN_MEMBER_ID = UnknownMemberId;
    REBALANCE_IN_PROGRESS = RebalanceInProgress;
    TOPIC_ALREADY_EXISTS = TopicAlreadyExists;
    OUT_OF_ORDER_SEQUENCE_NUMBER = OutOfOrderSequenceNumber;
    DUPLICATE_SEQUENCE_NUMBER = DuplicateSequenceNumber;
    INVALID_PRODUCER_EPOCH = InvalidProducerEpoch;
    UNKNOWN_PRODUCER_ID = UnknownProducerId;
    MEMBER_ID_REQUIRED = MemberIdRequired;
}

/// Whether the same request may succeed later.
pub(super) fn is_retriable(code: i16) -> bool {
    ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable())
}

/// The code and what it means, for people.
pub(super) fn error_text(code: i16) -> Box<str> {
    match ResponseError::try_from_code(code) {
        Some(error) => format!("{error} (error {code})").into(),
        None => "no error".into(),
    }
}
