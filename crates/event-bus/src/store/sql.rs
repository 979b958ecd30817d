//! Statements that read the same on both databases: values in, rows out.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::types::Uuid;
use sqlx::{Decode, Postgres, Row as _, SqlSafeStr, Sqlite, Type};

/// A value bound to `$1`, `$2`, … Its variant is the parameter's type, also where it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `text`
    Text(Option<String>),
    /// `bigint` (SQLite: `INTEGER`)
    Integer(Option<i64>),
    /// `bytea` (SQLite: `BLOB`)
    Bytes(Option<Vec<u8>>),
    /// `uuid` (SQLite: its text)
    Uuid(Option<Uuid>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

/// A row of either database.
#[derive(Debug)]
pub struct Row(pub(super) RowOf);

#[derive(Debug)]
pub(super) enum RowOf {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

impl Row {
    /// The value of a column: `i64`, `String`, `Vec<u8>`, or an `Option` of one.
    ///
    /// # Errors
    /// When the column does not exist, or holds another type or null.
    pub fn get<T>(&self, column: &str) -> Result<T, sqlx::Error>
    where
        T: for<'r> Decode<'r, Postgres>
            + Type<Postgres>
            + for<'r> Decode<'r, Sqlite>
            + Type<Sqlite>,
    {
        match &self.0 {
            RowOf::Postgres(row) => row.try_get(column),
            RowOf::Sqlite(row) => row.try_get(column),
        }
    }
}

/// The placeholders of a row of a list of values, which has this many columns: `($1, $2)` of the first one of two.
pub(super) fn row_of(row: usize, columns: usize) -> String {
    let first = row * columns + 1;
    let places: Vec<String> = (first..first + columns).map(|place| format!("${place}")).collect();
    format!("({})", places.join(", "))
}

/// The placeholders of a list of values: `($1, $2), ($3, $4)` of two rows of two columns.
pub(super) fn rows_of(rows: usize, columns: usize) -> String {
    let rows: Vec<String> = (0..rows).map(|row| row_of(row, columns)).collect();
    rows.join(", ")
}

pub(super) fn postgres_query<'q>(
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Query<'q, Postgres, PgArguments> {
    values.iter().cloned().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(value) => query.bind(value),
        Value::Integer(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
    })
}

pub(super) fn sqlite_query<'q>(
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Query<'q, Sqlite, SqliteArguments> {
    values.iter().cloned().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(value) => query.bind(value),
        Value::Integer(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value.map(|uuid| uuid.to_string())),
    })
}
