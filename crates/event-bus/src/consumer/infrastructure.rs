//! Tells a database that is down or busy from a handler that failed.

use std::error::Error as StdError;

use super::trouble::Trouble;

/// SQLSTATE classes that mean the server is going, gone, or out of resources: 08 connection exception,
/// 53 insufficient resources, 58 system error.
const DOWN_CLASSES: [&str; 3] = ["08", "53", "58"];
/// `57P01` to `57P05`: the server shuts down, crashed, starts up, dropped the database, or ended an idle session.
const DOWN_CODES: &str = "57P";
/// Serialisation failure, deadlock detected, lock not available.
const CONTENTION_CODES: [&str; 3] = ["40001", "40P01", "55P03"];
/// A transaction that an earlier error ended (`25P02`), or that was left alone or open for too long (`25P03`, `25P04`).
const BROKEN_TRANSACTION_CODES: [&str; 3] = ["25P02", "25P03", "25P04"];
/// SQLite's primary result codes `SQLITE_BUSY` and `SQLITE_LOCKED`.
const SQLITE_BUSY: [u32; 2] = [5, 6];
/// SQLite's `SQLITE_IOERR`, `SQLITE_FULL` and `SQLITE_CANTOPEN`.
const SQLITE_DOWN: [u32; 3] = [10, 13, 14];

/// Looks for an infrastructure failure in an error and its sources.
pub(crate) fn trouble_in(error: &(dyn StdError + 'static)) -> Option<Trouble> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(trouble) = error.downcast_ref::<sqlx::Error>().and_then(trouble_of) {
            return Some(trouble);
        }
        next = error.source();
    }
    None
}

/// What kind of trouble a database error is, if it is one.
pub(crate) fn trouble_of(error: &sqlx::Error) -> Option<Trouble> {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Some(Trouble::Down),
        sqlx::Error::Database(error) => {
            let code = error.code()?;
            let sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
            if sqlite { sqlite_trouble(&code) } else { postgres_trouble(&code) }
        }
        _ => None,
    }
}

/// Whether PostgreSQL refuses because of what happened in the transaction before, which a handler may have caused.
pub(crate) fn is_broken_transaction(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| BROKEN_TRANSACTION_CODES.contains(&&*code))
}

fn postgres_trouble(code: &str) -> Option<Trouble> {
    if CONTENTION_CODES.contains(&code) {
        Some(Trouble::Contention)
    } else if code.starts_with(DOWN_CODES)
        || DOWN_CLASSES.iter().any(|class| code.starts_with(class))
    {
        Some(Trouble::Down)
    } else {
        None
    }
}

fn sqlite_trouble(code: &str) -> Option<Trouble> {
    // The low byte of an extended result code is the primary one.
    let primary = code.parse::<u32>().ok()? & 0xff;
    if SQLITE_BUSY.contains(&primary) {
        Some(Trouble::Contention)
    } else if SQLITE_DOWN.contains(&primary) {
        Some(Trouble::Down)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapped(#[source] sqlx::Error);

    #[test]
    fn trouble_is_found_behind_other_errors() {
        assert_eq!(trouble_in(&Wrapped(sqlx::Error::PoolTimedOut)), Some(Trouble::Down));
        assert_eq!(trouble_in(&Wrapped(sqlx::Error::RowNotFound)), None);
    }

    #[test]
    fn a_deadlock_is_contention_and_a_shutdown_is_an_outage() {
        assert_eq!(postgres_trouble("40P01"), Some(Trouble::Contention));
        assert_eq!(postgres_trouble("57P01"), Some(Trouble::Down));
        assert_eq!(postgres_trouble("53300"), Some(Trouble::Down));
        assert_eq!(postgres_trouble("23505"), None);
        // A cancelled statement is the handler's own.
        assert_eq!(postgres_trouble("57014"), None);
    }

    #[test]
    fn an_extended_sqlite_code_counts_as_its_primary_one() {
        assert_eq!(sqlite_trouble("261"), Some(Trouble::Contention));
        assert_eq!(sqlite_trouble("1555"), None);
    }
}
