use std::collections::BTreeSet;

use super::{Acls, Code, Finding, Observed, Subject};
use crate::access::OPS;
use crate::catalogue::{Catalogue, Event};
use crate::kafka::admin::Acl;
use crate::names::TopicName;

const EVERYBODY: &str = "User:*";
/// What changes a topic or its records.
const CHANGES_TOPIC: [&str; 4] = ["WRITE", "DELETE", "ALTER", "ALTER_CONFIGS"];
/// What moves a group's offsets, or takes its partitions away.
const CHANGES_GROUP: [&str; 2] = ["READ", "DELETE"];
const WRITES: [&str; 1] = ["WRITE"];

const NARROW: &str = "remove the entry with Kafka's own kafka-acls; `event-bus topics apply --acls` gives each service what it needs";

pub(super) fn examine(catalogue: &Catalogue, observed: &Observed) -> Vec<Finding> {
    let acls = match &observed.acls {
        Acls::Untold => return Vec::new(),
        Acls::Off => return without_authorizer(observed),
        Acls::On(acls) => acls,
    };
    let mut findings = Vec::new();
    for event in catalogue.events() {
        let consumers = event.consumers.iter().map(|consumer| consumer.service.as_str());
        let letters = &event.dead_letter_topic;
        findings.extend(writers(catalogue, acls, &event.topic, &producer(event)));
        findings.extend(writers(catalogue, acls, letters, &consumers.collect()));
    }
    for topic in catalogue.topics() {
        let may = allowed(acls, "TOPIC", topic.as_str(), &CHANGES_TOPIC);
        let subject = Subject::Topic(topic.clone());
        findings.extend(everybody(may, subject, &format!("change {topic}")));
    }
    for subscription in catalogue.subscriptions() {
        let group = &subscription.consumer.group;
        let may = allowed(acls, "GROUP", group.as_str(), &CHANGES_GROUP);
        let subject = Subject::Group(group.to_string());
        findings.extend(everybody(may, subject, &format!("move the offsets of {group}")));
    }
    findings
}

/// Where users have names, somebody means to tell them apart.
fn without_authorizer(observed: &Observed) -> Vec<Finding> {
    if !observed.client.has_identity() {
        return Vec::new();
    }
    let what = "clients have names, and the cluster has no authoriser: each may write and delete everything".to_owned();
    let cure = "set authorizer.class.name on brokers and controllers, and have `event-bus topics apply --acls` make the lists";
    vec![Finding::new(Code::NoAuthorizer, Subject::Cluster, what, cure)]
}

fn producer(event: &Event) -> BTreeSet<&str> {
    BTreeSet::from([event.producer.as_str()])
}

/// Those who may write a topic and are none of the services that have to, a finding for each.
fn writers(
    catalogue: &Catalogue,
    acls: &[Acl],
    topic: &TopicName,
    services: &BTreeSet<&str>,
) -> Vec<Finding> {
    let entries = allowed(acls, "TOPIC", topic.as_str(), &WRITES);
    let strangers: BTreeSet<&str> = entries
        .into_iter()
        .map(|acl| acl.principal.as_str())
        .filter(|principal| *principal != EVERYBODY)
        .filter(|principal| !is_one_of(principal, catalogue, services))
        .collect();
    let whose: Vec<&str> = services.iter().copied().collect();
    let whose = if whose.is_empty() { "nobody".to_owned() } else { whose.join(", ") };
    let finding = |principal: &str| {
        let what =
            format!("{principal} may write {topic}, and by the catalogue it is written by {whose}");
        Finding::new(Code::AclWrite, Subject::Topic(topic.clone()), what, NARROW)
    };
    strangers.into_iter().map(finding).collect()
}

fn everybody(entries: Vec<&Acl>, subject: Subject, deed: &str) -> Option<Finding> {
    let acl = entries.into_iter().find(|acl| acl.principal == EVERYBODY)?;
    let (operation, resource) = (&acl.operation, &acl.resource);
    let what = format!("everybody may {deed}, by an entry that allows {operation} on {resource}");
    Some(Finding::new(Code::AclEveryone, subject, what, NARROW))
}

/// Whether a user is one of these services, or ops: `User:shop`, `User:acme-shop`, or with a certificate's name
/// (`User:CN=acme-shop,O=…`).
fn is_one_of(principal: &str, catalogue: &Catalogue, services: &BTreeSet<&str>) -> bool {
    let name = principal.strip_prefix("User:").unwrap_or(principal);
    let name = name.strip_prefix("CN=").map_or(name, |name| name.split(',').next().unwrap_or(name));
    let own = name.strip_prefix(catalogue.namespace().as_str());
    let own = own.and_then(|name| name.strip_prefix('-'));
    [Some(name), own].into_iter().flatten().any(|name| name == OPS || services.contains(name))
}

/// The entries that allow one of these operations on a thing, and that no other entry takes back.
fn allowed<'a>(acls: &'a [Acl], kind: &str, name: &str, operations: &[&str]) -> Vec<&'a Acl> {
    let about = |acl: &&Acl| acl.resource_type == kind && is_about(acl, name);
    let (allows, denies): (Vec<&Acl>, Vec<&Acl>) =
        acls.iter().filter(about).partition(|acl| acl.permission == "ALLOW");
    let is_denied = |principal: &str, operation: &str| {
        denies.iter().any(|deny| {
            deny.permission == "DENY"
                && deny.host == "*"
                && [EVERYBODY, principal].contains(&deny.principal.as_str())
                && covers(deny, operation)
        })
    };
    let is_left = |acl: &&Acl| {
        operations
            .iter()
            .any(|operation| covers(acl, operation) && !is_denied(&acl.principal, operation))
    };
    allows.into_iter().filter(is_left).collect()
}

fn covers(acl: &Acl, operation: &str) -> bool {
    ["ALL", operation].contains(&acl.operation.as_str())
}

fn is_about(acl: &Acl, name: &str) -> bool {
    match acl.pattern.as_str() {
        "PREFIXED" => name.starts_with(&acl.resource),
        _ => acl.resource == "*" || acl.resource == name,
    }
}
