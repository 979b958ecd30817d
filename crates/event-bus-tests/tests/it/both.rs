//! One test on each kind of database.

/// Makes a test on SQLite and one on PostgreSQL of each function.
macro_rules! on_both_databases {
    ($($promise:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let databases = event_bus_tests::databases::Databases::sqlite();
                super::$promise(&databases).await;
                databases.drop_all().await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let databases = event_bus_tests::databases::Databases::postgres().await;
                super::$promise(&databases).await;
                databases.drop_all().await;
            })+
        }
    };
}

pub(crate) use on_both_databases;
