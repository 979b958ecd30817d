//! Kafka's own command-line tools.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::maven::{self, Pom};
use crate::{apt, child};

const TOOLS: Pom =
    Pom { name: "kafka-tools", text: include_str!("../poms/tools.xml"), goal: "copy-dependencies" };

/// The tools by the names of their scripts in Kafka's distribution, without `kafka-` and `.sh`.
const CLASSES: [(&str, &str); 13] = [
    ("acls", "org.apache.kafka.tools.AclCommand"),
    ("broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
    ("configs", "kafka.admin.ConfigCommand"),
    ("console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
    ("delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
    ("get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("groups", "org.apache.kafka.tools.GroupsCommand"),
    ("log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    ("producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    ("topics", "org.apache.kafka.tools.TopicCommand"),
];

/// Run one of Kafka's tools, as in `cargo xtask kafka-tool topics --bootstrap-server HOST:PORT --list`.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The script's name without `kafka-` and `.sh`, or a class of org.apache.kafka.tools
    tool: String,
    /// What it is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// `cargo xtask kafka-tool`
pub fn run(args: &Args) -> Result<ExitCode> {
    let named = CLASSES.iter().find(|(name, _)| *name == args.tool).map(|(_, class)| *class);
    let class = match named {
        Some(class) => class,
        None if args.tool.starts_with("org.apache.kafka.") => &args.tool,
        None => {
            let names: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).collect();
            bail!("no tool `{}`; there are {}", args.tool, names.join(", "));
        }
    };
    let class_path = class_path()?;
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &class_path, class]);
    child::run_attached(command.args(&args.rest))
}

/// The tools' class path, for `java -cp`. They are fetched when they aren't there.
pub fn class_path() -> Result<String> {
    let jars = maven::fetch(TOOLS)?;
    apt::ensure(&[apt::JAVA])?;
    Ok(maven::class_path(&jars))
}
