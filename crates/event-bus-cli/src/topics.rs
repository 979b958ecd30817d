//! `event-bus topics`: the cluster's topics by the catalogue.

mod acls;

use std::collections::BTreeSet;

use clap::Subcommand;
use event_bus::access;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use event_bus::topics::{Applied, Difference, Options, Plan, apply, plan};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::output::Output;
use crate::progress;
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Show what separates the cluster from the catalogue, without changing anything
    Plan(Args),
    /// Create, extend and configure topics by the catalogue; nothing is ever deleted
    Apply(Args),
}

#[derive(clap::Args)]
pub struct Args {
    /// Copies of every topic, instead of the catalogue's (min.insync.replicas is then at most this)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replication: Option<i32>,
    /// Let topics with an ordering key get more partitions, although keys then move and lose their order meanwhile
    #[arg(long)]
    accept_reorder: bool,
    #[command(flatten)]
    acls: acls::Lists,
}

/// What separates the cluster from the catalogue: its topics, and its access control lists where they were asked for.
struct Plans {
    topics: Plan,
    acls: Option<access::Plan>,
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let mut output = global.output();
        match self {
            Self::Plan(args) => {
                let (_, plans) = args.plan(&settings).await?;
                show(&plans, &mut output)
            }
            Self::Apply(args) => {
                let (admin, plans) = args.plan(&settings).await?;
                carry_out(&admin, &plans, &mut output).await
            }
        }
    }
}

impl Args {
    async fn plan(&self, settings: &Settings) -> anyhow::Result<(Admin, Plans)> {
        let catalogue = settings.catalogue()?;
        let admin = Admin::connect(&settings.kafka()?)?;
        let cluster = admin.cluster_with_configs(&catalogue.topics()).await?;
        let options =
            Options { replication: self.replication, accept_reorder: self.accept_reorder };
        let topics = plan(&catalogue, &cluster, options);
        let acls = self.acls.plan(&admin, &catalogue).await?;
        Ok((admin, Plans { topics, acls }))
    }
}

/// The document of the topics, with what there is of the lists.
fn with_acls(document: Value, acls: Option<Value>) -> Value {
    match (document, acls) {
        (Value::Object(mut document), Some(acls)) => {
            document.insert("acls".to_owned(), acls);
            Value::Object(document)
        }
        (document, _) => document,
    }
}

fn show(Plans { topics: plan, acls }: &Plans, output: &mut Output) -> anyhow::Result<Exit> {
    if output.is_json() {
        let acls = acls.as_ref().map(serde_json::to_value).transpose()?;
        output.json_document(&with_acls(serde_json::to_value(plan)?, acls))?;
    } else {
        for step in &plan.steps {
            output.line(&step.to_string())?;
        }
        show_differences(plan, output)?;
        if plan.is_empty() {
            output.line("nothing to do: the topics are as the catalogue says")?;
        }
        if let Some(acls) = acls {
            acls::show(acls, output)?;
        }
        output.flush()?;
    }
    let is_empty = plan.is_empty() && acls.as_ref().is_none_or(access::Plan::is_empty);
    Ok(if is_empty { Exit::Done } else { Exit::Difference })
}

/// The differences, and then each cure once.
fn show_differences(plan: &Plan, output: &mut Output) -> anyhow::Result<()> {
    for difference in &plan.refused {
        output.line(&format!("refused: {difference}"))?;
    }
    for difference in &plan.left_alone {
        output.line(&format!("left as it is: {difference}"))?;
    }
    let cures: BTreeSet<String> =
        plan.refused.iter().chain(&plan.left_alone).map(Difference::cure).collect();
    for cure in cures {
        output.line(&format!("hint: {cure}"))?;
    }
    Ok(())
}

async fn carry_out(
    admin: &Admin,
    Plans { topics: plan, acls }: &Plans,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut applied = Vec::new();
    let bar = progress::bar(Some(plan.steps.len() as u64), "topics");
    let ready = apply(admin, plan, |step| {
        bar.inc(1);
        applied.push(step);
    })
    .await;
    bar.finish_and_clear();
    let failed = applied.iter().filter(|applied| applied.outcome.is_err()).count();
    if !output.is_json() {
        show_applied(&applied, plan, failed, output)?;
    }
    let lists = match acls {
        Some(acls) => Some(acls::carry_out(admin, acls, output).await?),
        None => None,
    };
    let (of_lists, lists) = lists.map_or((Exit::Done, None), |(exit, told)| (exit, Some(told)));
    if output.is_json() {
        let steps: Vec<Value> = applied.iter().map(of_step).collect();
        let document = json!({ "applied": steps, "refused": plan.refused, "left_alone": plan.left_alone, "failed": failed });
        output.json_document(&with_acls(document, lists))?;
    } else {
        output.flush()?;
    }
    ready?;
    Ok(match (failed, of_lists, plan.refused.len()) {
        (0, Exit::Done, 0) => Exit::Done,
        (0, Exit::Done, _) => Exit::Difference,
        _ => Exit::Failed,
    })
}

fn show_applied(
    applied: &[Applied],
    plan: &Plan,
    failed: usize,
    output: &mut Output,
) -> anyhow::Result<()> {
    for Applied { step, outcome } in applied {
        match outcome {
            Ok(()) => output.line(&format!("done: {step}"))?,
            Err(error) => eprintln!("event-bus: {step}: {}", error_chain(error)),
        }
    }
    show_differences(plan, output)?;
    let (done, refused) = (applied.len() - failed, plan.refused.len());
    output.line(&format!("{done} done, {failed} failed, {refused} refused"))
}

fn of_step(applied: &Applied) -> Value {
    let error = applied.outcome.as_ref().err().map(|error| error_chain(error));
    json!({ "change": applied.step, "error": error })
}
