//! The tests that need a broker: the same ones on Apache Kafka and on the embedded broker.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::embedded::Embedded;
use crate::foreign::Clients;
use crate::kafka::{self, Kafka};
use crate::postgres::Postgres;
use crate::services::Services;
use crate::steps::Steps;
use crate::test::{ALL, Length, cargo};
use crate::{apt, axe, child, dirs, kafka_tool};

/// What every run of the integration tests uses besides a broker.
struct Equipment {
    postgres: Postgres,
    kafka_tools: String,
    axe: PathBuf,
    length: Length,
    filter: Option<String>,
}

/// A broker that runs, and how another one of its kind is started.
struct Subject {
    kind: &'static str,
    bootstrap: String,
    /// Its words, a line each; a directory follows.
    start: String,
}

/// Tests of the whole, on one broker after the other. They never run side by side.
pub fn run_integration_tests(steps: &mut Steps, filter: Option<&str>, length: Length) {
    let mut equipment = None;
    steps.run("start of PostgreSQL", || {
        equipment = Some(Equipment {
            postgres: Postgres::start(None, &[])?,
            kafka_tools: kafka_tool::class_path()?,
            axe: axe::script()?,
            length,
            filter: filter.map(str::to_owned),
        });
        Ok(())
    });
    let Some(equipment) = equipment else {
        return steps.leave_out("integration tests", "PostgreSQL did not start");
    };
    steps.run("tests beside the code that need PostgreSQL", || {
        let mut tests = cargo();
        tests.arg("test").args(ALL).args(["--lib", "--"]).args(filter).arg("--ignored");
        child::run(tests.env("EVENT_BUS_POSTGRES", equipment.postgres.url()))
    });
    on_kafka(steps, &equipment);
    on_the_embedded_broker(steps, &equipment);
}

fn on_kafka(steps: &mut Steps, equipment: &Equipment) {
    let mut running = None;
    steps.run("start of Kafka", || {
        running = Some(Kafka::start(&kafka::Options::default())?);
        Ok(())
    });
    let Some(kafka) = running else {
        return steps.leave_out("integration tests on Kafka", "Kafka did not start");
    };
    steps.run("integration tests on Kafka", || equipment.test("it", &Subject::kafka(&kafka)?));
    steps.run("conformance of Kafka", || equipment.test("conformance", &Subject::kafka(&kafka)?));
    steps.run("services in other languages on Kafka", || equipment.services(&kafka.bootstrap()));
    if equipment.length == Length::Full {
        // The clients pass on Kafka by themselves: this shows that the matrix asks for nothing else.
        steps.run("foreign clients on Kafka", || equipment.foreign(&kafka.bootstrap()));
    }
}

fn on_the_embedded_broker(steps: &mut Steps, equipment: &Equipment) {
    let mut running = None;
    steps.run("start of the embedded broker", || {
        running = Some(Embedded::start(&program()?, "fsync")?);
        Ok(())
    });
    let Some(broker) = running else {
        return steps.leave_out("tests on the embedded broker", "it did not start");
    };
    steps.run("conformance of the embedded broker", || {
        equipment.test("conformance", &Subject::embedded(&broker)?)
    });
    steps.run("foreign clients on the embedded broker", || equipment.foreign(broker.bootstrap()));
    steps.run("services in other languages on the embedded broker", || {
        equipment.services(broker.bootstrap())
    });
    steps.run("integration tests on the embedded broker", || {
        equipment.test("it", &Subject::embedded(&broker)?)
    });
    steps.run("mistakes that torture notices", || {
        equipment.test("flaws", &Subject::embedded(&broker)?)
    });
}

/// A program of the system.
fn program_named(name: &str) -> Result<PathBuf> {
    apt::find_program(name).with_context(|| format!("{name} is not on the search path"))
}

/// The `event-bus` program that was built with the tests.
fn program() -> Result<PathBuf> {
    Ok(dirs::target()?.join("debug").join("event-bus"))
}

/// Ourselves. Not this very file: the build may have replaced it, and then it has no name any more.
fn xtask() -> Result<PathBuf> {
    Ok(dirs::target()?.join("debug").join("xtask"))
}

impl Subject {
    fn kafka(kafka: &Kafka) -> Result<Self> {
        let start = format!("{}\nkafka\n--data", xtask()?.display());
        Ok(Self { kind: "kafka", bootstrap: kafka.bootstrap(), start })
    }

    fn embedded(broker: &Embedded) -> Result<Self> {
        let start = format!("{}\nbroker\n--listen\n127.0.0.1:0\n--data", program()?.display());
        Ok(Self { kind: "embedded", bootstrap: broker.bootstrap().to_owned(), start })
    }
}

impl Equipment {
    /// Runs a test binary on a broker.
    fn test(&self, binary: &str, subject: &Subject) -> Result<()> {
        let mut tests = cargo();
        tests.arg("test").args(ALL).args(["--test", binary, "--"]).args(&self.filter);
        if binary == "it" {
            // Most of their time they wait: for a broker, a retry, a process that starts.
            let cores = std::thread::available_parallelism()?.get();
            tests.arg(format!("--test-threads={}", 2 * cores));
        }
        if subject.kind == "embedded" {
            // They know a database and no broker, and ran beside the tests on Kafka; or need what Kafka alone has.
            tests.args(["--skip", "store::", "--skip", "kafka_alone::"]);
        }
        if subject.kind == "kafka" && self.length == Length::Short {
            // What pages and routes show does not depend on the broker, nor who may see them; a browser takes minutes.
            for module in [
                "access", "canary", "cells", "hostile", "matrix", "notes", "oidc", "openapi",
                "pages", "scopes", "two",
            ] {
                tests.args(["--skip", &format!("panel::{module}::")]);
            }
            // Nor does what Prometheus makes of it.
            tests.args(["--skip", "monitored::"]);
        }
        tests.env("EVENT_BUS_TEST_BOOTSTRAP", &subject.bootstrap);
        tests.env("EVENT_BUS_TEST_BROKER", subject.kind);
        tests.env("EVENT_BUS_TEST_START_BROKER", &subject.start);
        self.equip(&mut tests)?;
        child::run(&mut tests)
    }

    fn equip(&self, tests: &mut Command) -> Result<()> {
        tests.env("EVENT_BUS_TEST_POSTGRES", self.postgres.url());
        let start_postgres = format!("{}\npostgres\n--data", xtask()?.display());
        tests.env("EVENT_BUS_TEST_START_POSTGRES", start_postgres);
        tests.env("EVENT_BUS_TEST_BIN", program()?);
        tests.env("EVENT_BUS_TEST_KAFKA_TOOLS", &self.kafka_tools);
        tests.env("EVENT_BUS_TEST_AXE", &self.axe);
        tests.env("EVENT_BUS_TEST_PROMETHEUS", apt::unpacked("prometheus", "prometheus")?);
        tests.env("EVENT_BUS_TEST_ALERTMANAGER", program_named("prometheus-alertmanager")?);
        tests.env("KCAT", program_named("kcat")?);
        if self.length == Length::Full {
            tests.env("EVENT_BUS_TEST_FULL", "1");
        }
        Ok(())
    }

    fn foreign(&self, bootstrap: &str) -> Result<()> {
        Clients::bring()?.run(bootstrap, self.filter.as_deref())
    }

    fn services(&self, bootstrap: &str) -> Result<()> {
        Services::bring()?.run(bootstrap, &self.postgres, self.filter.as_deref())
    }
}
