//! `event-bus doctor`: what is wrong with a cluster, and what to do about it.

use event_bus::doctor::{Code, Finding, Severity, examine, observe};
use event_bus::store::Store;
use jiff::Timestamp;
use serde_json::json;

use crate::exit::Exit;
use crate::global::Global;
use crate::output::{Output, printable};
use crate::settings::Settings;

#[derive(clap::Args)]
pub struct Args {
    /// A service's database, sqlite://… or postgres://…, whose inbox is looked at too, as a whole; may be given several times
    #[arg(long = "store", value_name = "URL")]
    stores: Vec<String>,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let mut stores = Vec::new();
        for url in &self.stores {
            stores.push(Store::open_existing(url).await?);
        }
        let now = Timestamp::now();
        let observed = observe(&catalogue, settings.client(), &stores, now).await?;
        let findings = examine(&catalogue, &observed, now);
        show(&findings, &observed.unseen, &mut global.output())?;
        let is_ill = findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if is_ill { Exit::Difference } else { Exit::Done })
    }
}

fn show(findings: &[Finding], unseen: &[String], output: &mut Output) -> anyhow::Result<()> {
    let checks = Code::ALL.len();
    if output.is_json() {
        let document = json!({ "checks": checks, "findings": findings, "unseen": unseen });
        return output.json_document(&document);
    }
    for Finding { code, severity, what, cure, .. } in findings {
        let (severity, code) = (severity.as_str(), code.as_str());
        output.line(&format!("{severity}: {} [{code}]", printable(what)))?;
        output.line(&format!("  cure: {}", printable(cure)))?;
    }
    for what in unseen {
        output.line(&format!("not looked at: {}", printable(what)))?;
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    output.line(&match findings.len() {
        0 => format!("{checks} checks found nothing"),
        all => format!("{checks} checks found {errors} errors and {} warnings", all - errors),
    })?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in the section on this command, a code and a severity each.
    fn documented() -> Vec<(String, String)> {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/OPERATIONS.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, section) = page.split_once("\n## Doctor\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.map(|row| {
            let (code, rest) = row.split_once("` | ").unwrap();
            let (severity, rest) = rest.split_once(" | ").unwrap();
            assert_eq!(rest.matches(" | ").count(), 1, "{code} has its meaning and its cure");
            (code.to_owned(), severity.to_owned())
        });
        rows.collect()
    }

    #[test]
    fn each_code_is_documented_with_its_severity_in_the_order_of_the_checks() {
        let codes = Code::ALL
            .iter()
            .map(|code| (code.as_str().to_owned(), code.severity().as_str().to_owned()));
        assert_eq!(documented(), codes.collect::<Vec<_>>());
    }
}
