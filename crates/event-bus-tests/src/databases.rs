//! A database of its own for each test, on both kinds.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::servers;

/// Databases whose URL has `{service}` in it; all go away with this value's [`Databases::drop_all`] or its folder.
#[derive(Debug)]
pub enum Databases {
    /// Files in a folder of their own.
    Sqlite(TempDir),
    /// Schemas of a database of their own.
    Postgres {
        /// The URL of the server's maintenance database.
        server: String,
        /// The database.
        name: String,
    },
}

impl Databases {
    /// SQLite files in a new folder.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// A new PostgreSQL database on the server that all tests share.
    ///
    /// # Panics
    /// When the server does not let it be made.
    pub async fn postgres() -> Self {
        Self::postgres_on(&servers::postgres()).await
    }

    /// A new PostgreSQL database on the server with this maintenance database.
    ///
    /// # Panics
    /// When the server does not let it be made.
    pub async fn postgres_on(server: &str) -> Self {
        let name = servers::namespace().to_string();
        let options = PgConnectOptions::from_str(server).expect("xtask gives a URL");
        let mut connection = options.connect().await.expect("PostgreSQL answers");
        let statement = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .expect("a database can be made");
        connection.close().await.expect("the connection closes");
        Self::Postgres { server: server.to_owned(), name }
    }

    /// The URL with `{service}` in it.
    pub fn url_template(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/{{service}}.db", folder.path().display()),
            Self::Postgres { server, name } => {
                let (server, _) = server.rsplit_once('/').expect("a URL has a path");
                format!("{server}/{name}?options=-csearch_path%3D{{service}}")
            }
        }
    }

    /// The URL of one service's database.
    pub fn url(&self, service: &str) -> String {
        self.url_template().replace("{service}", service)
    }

    /// Runs a query that gives one number in a service's database.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn number(&self, service: &str, sql: &str) -> i64 {
        self.try_number(service, sql)
            .await
            .unwrap_or_else(|error| panic!("{service}: {sql}: {error}"))
    }

    /// As [`Self::number`].
    ///
    /// # Errors
    /// The database's, for example while its service is still making it.
    pub async fn try_number(&self, service: &str, sql: &str) -> Result<i64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => {
                let options = sqlx::sqlite::SqliteConnectOptions::from_str(&self.url(service))?;
                let mut connection = options.connect().await?;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            }
            Self::Postgres { .. } => {
                let mut connection =
                    PgConnectOptions::from_str(&self.url(service))?.connect().await?;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await
            }
        }
    }

    /// Changes something behind the back of a service.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn execute(&self, service: &str, sql: &str) {
        let statement = AssertSqlSafe(sql.to_owned());
        let done = match self {
            Self::Sqlite(_) => {
                let options = sqlx::sqlite::SqliteConnectOptions::from_str(&self.url(service));
                let mut connection =
                    options.expect("it is a URL").connect().await.expect("SQLite opens the file");
                sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
            }
            Self::Postgres { .. } => {
                let options = PgConnectOptions::from_str(&self.url(service));
                let mut connection =
                    options.expect("it is a URL").connect().await.expect("PostgreSQL answers");
                sqlx::raw_sql(statement).execute(&mut connection).await.map(drop)
            }
        };
        done.unwrap_or_else(|error| panic!("{service}: {sql}: {error}"));
    }

    /// Runs a query whose rows are a text and a number.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn rows(&self, service: &str, sql: &str) -> Vec<(String, i64)> {
        let sql = AssertSqlSafe(sql.to_owned());
        let rows = match self {
            Self::Sqlite(_) => {
                let options = sqlx::sqlite::SqliteConnectOptions::from_str(&self.url(service));
                let mut connection =
                    options.expect("it is a URL").connect().await.expect("SQLite opens the file");
                sqlx::query_as(sql).fetch_all(&mut connection).await
            }
            Self::Postgres { .. } => {
                let options = PgConnectOptions::from_str(&self.url(service));
                let mut connection =
                    options.expect("it is a URL").connect().await.expect("PostgreSQL answers");
                sqlx::query_as(sql).fetch_all(&mut connection).await
            }
        };
        rows.unwrap_or_else(|error| panic!("{service}: {error}"))
    }

    /// Drops what was made on the server.
    ///
    /// # Panics
    /// When PostgreSQL refuses.
    pub async fn drop_all(self) {
        if let Self::Postgres { server, name } = self {
            let pool = PgPool::connect(&server).await.expect("PostgreSQL answers");
            let statement = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&pool)
                .await
                .expect("the database can be dropped");
        }
    }
}
