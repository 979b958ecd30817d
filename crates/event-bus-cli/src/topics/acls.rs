//! `event-bus topics plan|apply --acls`: who may do what on the cluster, by the catalogue.

use anyhow::bail;
use event_bus::Catalogue;
use event_bus::access::{Applied, Extra, Plan, PrincipalPrefix, apply, plan};
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::Output;

#[derive(clap::Args)]
pub struct Lists {
    /// Also who may do what: access control lists, by which services can do nothing else
    #[arg(long)]
    acls: bool,
    /// Take away what users of the catalogue may do beyond it
    #[arg(long, requires = "acls")]
    revoke: bool,
    /// What stands before users' names, such as User:CN= for certificates
    #[arg(long, value_name = "PREFIX", default_value = "User:", requires = "acls")]
    principal_prefix: PrincipalPrefix,
}

impl Lists {
    /// What separates the lists from the catalogue, if anybody asked.
    pub async fn plan(&self, admin: &Admin, catalogue: &Catalogue) -> anyhow::Result<Option<Plan>> {
        if !self.acls {
            return Ok(None);
        }
        let Some(on_cluster) = admin.acls().await? else {
            bail!(
                "the cluster has no authorizer, so that everybody may do everything: set authorizer.class.name on \
                 brokers and controllers (for `event-bus broker`: --users and --acls)"
            );
        };
        let extra = if self.revoke { Extra::Remove } else { Extra::Keep };
        Ok(Some(plan(catalogue, &self.principal_prefix, &on_cluster, extra)))
    }
}

/// Shows what would be changed.
pub fn show(plan: &Plan, output: &mut Output) -> anyhow::Result<()> {
    for change in &plan.changes {
        output.line(&change.to_string())?;
    }
    show_left_alone(plan, output)?;
    if plan.is_empty() {
        output.line("nothing to do: the access control lists are as the catalogue says")?;
    }
    Ok(())
}

fn show_left_alone(plan: &Plan, output: &mut Output) -> anyhow::Result<()> {
    for acl in &plan.left_alone {
        output.line(&format!("left as it is: {acl}"))?;
    }
    if !plan.left_alone.is_empty() {
        output.line("hint: --revoke takes away what users may do beyond the catalogue")?;
    }
    Ok(())
}

/// Brings the lists to what the catalogue says.
pub async fn carry_out(
    admin: &Admin,
    plan: &Plan,
    output: &mut Output,
) -> anyhow::Result<(Exit, Value)> {
    let applied = apply(admin, plan).await;
    let failed = applied.iter().filter(|applied| applied.outcome.is_err()).count();
    let document = json!({
        "applied": applied.iter().map(of_change).collect::<Vec<_>>(),
        "left_alone": plan.left_alone,
        "failed": failed,
    });
    if !output.is_json() {
        for Applied { change, outcome } in &applied {
            match outcome {
                Ok(()) => output.line(&format!("done: {change}"))?,
                Err(error) => eprintln!("event-bus: {change}: {}", error_chain(error)),
            }
        }
        show_left_alone(plan, output)?;
        output.line(&format!("{} entries changed, {failed} failed", applied.len() - failed))?;
    }
    Ok((if failed == 0 { Exit::Done } else { Exit::Failed }, document))
}

fn of_change(applied: &Applied) -> Value {
    let error = applied.outcome.as_ref().err().map(|error| error_chain(error));
    json!({ "change": applied.change, "error": error })
}
