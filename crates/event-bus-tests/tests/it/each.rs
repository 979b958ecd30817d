//! One test on each database and for each way to execute.

/// Runs `async fn name(databases, settings)` on SQLite, on PostgreSQL, and on PostgreSQL with eight events at a time.
macro_rules! on_each {
    ($name:ident) => {
        mod $name {
            use event_bus_tests::databases::Databases;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(Databases::sqlite(), "").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(Databases::postgres().await, "").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres_concurrently() {
                super::$name(Databases::postgres().await, "execution = \"concurrent(8)\"").await;
            }
        }
    };
}

pub(crate) use on_each;
