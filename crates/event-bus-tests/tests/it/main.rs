//! Tests of the whole on a real Kafka and PostgreSQL. `cargo xtask test` starts both and says
//! where they are.

mod batches;
mod billing_process;
mod both;
mod contract;
mod each;
mod handling;
mod health;
mod hostile;
mod order;
mod killed;
mod membership;
mod middleware;
mod platform;
mod program;
mod publishing;
mod stateless;
mod traces;
mod static_members;
mod stuck;
mod store;
mod torture;
mod selling;
mod inbox;
mod outbox;
mod outbox_sql;
mod relay;
mod lone_relay;
mod relay_bloat;
mod replays;
mod resets;
mod broker_process;
mod coordinator;
mod flaws;
mod up;
mod workshop;
