//! Who may do what, as a script of Kafka's own tool.

use std::fmt::Write as _;

use event_bus::Catalogue;
use event_bus::access::{Grant, Kind, PrincipalPrefix, users};

const HEAD: &str = "\
#!/bin/sh
# Generated from the catalogue by `event-bus catalogue export acls`: change the catalogue instead.
# Run it with what reaches the cluster: --bootstrap-server HOST:PORT --command-config admin.properties
# Nothing else may be done where the brokers have an authorizer and allow.everyone.if.no.acl.found=false (the default).
set -eu
";

/// All that the catalogue grants, a command for each user and thing.
#[must_use]
pub fn file(catalogue: &Catalogue, prefix: &PrincipalPrefix) -> String {
    let mut text = HEAD.to_owned();
    for user in users(catalogue) {
        let principal = prefix.principal(&user.name);
        writeln!(text, "\n# {}", user.name).expect("writing to a String cannot fail");
        for grant in &user.grants {
            line(&mut text, &principal, grant);
        }
    }
    text
}

/// Names of the catalogue and principals have no quotes in them.
fn line(text: &mut String, principal: &str, grant: &Grant) {
    let mut command = format!("kafka-acls.sh \"$@\" --add --force --allow-principal '{principal}'");
    for operation in grant.operations {
        command.push_str(" --operation ");
        command.push_str(operation.name());
    }
    match grant.kind {
        Kind::Cluster => command.push_str(" --cluster"),
        Kind::Topic => command.push_str(&format!(" --topic '{}'", grant.name)),
        Kind::Group => command.push_str(&format!(" --group '{}'", grant.name)),
    }
    if grant.is_prefix {
        command.push_str(" --resource-pattern-type prefixed");
    }
    text.push_str(&command);
    text.push('\n');
}
