//! Automation of this repository: `cargo xtask --help`.
//!
//! It fetches and runs the real servers that tests need, and runs the tests.

mod alerts;
mod apt;
mod asyncapi;
mod axe;
mod bench;
mod brokers;
mod child;
mod deploy;
mod dirs;
mod embedded;
mod foreign;
mod fuzz;
mod go;
mod kafka;
mod kafka_tool;
mod kafka_wire;
mod log;
mod maven;
mod npm;
mod peers;
mod ports;
mod postgres;
mod prove;
mod python;
mod screenshots;
mod services;
mod steps;
mod supply_chain;
mod test;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Automation of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Do all set-up and run every check and test: what CI runs
    Test(test::Args),
    /// Run every test at full length, then the benchmarks
    Prove(prove::Args),
    /// Compare the library's speed with bare client calls, and the embedded broker's with Kafka's
    Bench(bench::Args),
    /// Run a real Apache Kafka for one command or until Ctrl-C
    Kafka(kafka::Args),
    /// Torture the whole bus as processes, and check every promise
    Torture(torture::Args),
    /// Set other people's clients on a broker
    Foreign(foreign::Args),
    /// Feed random bytes to what reads bytes of others
    Fuzz(fuzz::Args),
    /// Hold the reference services in other languages to the contract on a broker
    Services(services::Args),
    /// Run one of Apache Kafka's own command-line tools
    KafkaTool(kafka_tool::Args),
    /// Take a picture of each page of the panel for its documentation
    Screenshots(screenshots::Args),
    /// Check what of others is used, and list it
    SupplyChain(supply_chain::Args),
    /// Run a real PostgreSQL for one command or until Ctrl-C
    Postgres(postgres::Args),
}

fn main() -> ExitCode {
    let task = Xtask::parse().task;
    child::listen_for_interrupts();
    let outcome = match task {
        Task::Test(args) => test::run(&args),
        Task::Prove(args) => prove::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Kafka(args) => kafka::run(&args),
        Task::Torture(args) => torture::run(&args),
        Task::Foreign(args) => foreign::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Services(args) => services::run(&args),
        Task::KafkaTool(args) => kafka_tool::run(&args),
        Task::Screenshots(args) => screenshots::run(&args),
        Task::SupplyChain(args) => supply_chain::run(&args),
        Task::Postgres(args) => postgres::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
