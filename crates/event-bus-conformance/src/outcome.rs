//! Error codes as results, so that a failed comparison shows a name instead of a number.

use kafka_protocol::ResponseError;

/// What a response's error code says.
///
/// # Errors
/// With the error of any code but 0.
pub fn outcome(code: i16) -> Result<(), ResponseError> {
    ResponseError::try_from_code(code).map_or(Ok(()), Err)
}
