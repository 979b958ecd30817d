//! Databases of a workload's own.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

/// A new database beside the server's maintenance database: its name and its URL.
pub async fn create(maintenance: &str) -> (String, String) {
    let name = format!("bench_{:08x}", rand::random::<u32>());
    let mut connection = PgConnection::connect(maintenance).await.expect("PostgreSQL answers");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(create).await.expect("a database can be made");
    let (server, _) = maintenance.rsplit_once('/').expect("a URL has a path");
    let url = format!("{server}/{name}");
    (name, url)
}
