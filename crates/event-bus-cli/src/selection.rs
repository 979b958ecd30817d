//! Which topics a reading command means, and from when on.

use event_bus::Catalogue;
use event_bus::kafka::admin::{Admin, Position};
use event_bus::names::{DLT_SUFFIX, TopicName};
use jiff::Timestamp;

use crate::exit::usage;

/// The topics of `names`, each an event, a short or full topic, or a dead letter topic; all events' where there are no
/// names. `dead_letters` adds the dead letter topic of each.
pub fn topics(
    catalogue: &Catalogue,
    names: &[String],
    dead_letters: bool,
) -> anyhow::Result<Vec<TopicName>> {
    let mut topics = Vec::new();
    for name in names {
        let event = catalogue.event(name).or_else(|| catalogue.event_of_topic(name));
        let dead = || catalogue.event_of_topic(name.strip_suffix(DLT_SUFFIX)?);
        match (event, dead()) {
            (Some(event), _) if dead_letters => {
                topics.extend([event.topic.clone(), event.dead_letter_topic.clone()]);
            }
            (Some(event), _) => topics.push(event.topic.clone()),
            (None, Some(event)) => topics.push(event.dead_letter_topic.clone()),
            (None, None) => {
                return usage(format!(
                    "the catalogue has no event or topic {name}: `event-bus catalogue show` lists them"
                ));
            }
        }
    }
    if names.is_empty() {
        topics.extend(catalogue.events().map(|event| event.topic.clone()));
        if dead_letters {
            topics.extend(catalogue.events().map(|event| event.dead_letter_topic.clone()));
        }
    }
    let mut seen = std::collections::HashSet::new();
    topics.retain(|topic| seen.insert(topic.clone()));
    Ok(topics)
}

/// Those of all the catalogue's topics that exist, with a word on the others: a cluster may be younger than the
/// catalogue.
pub async fn existing(admin: &Admin, topics: Vec<TopicName>) -> anyhow::Result<Vec<TopicName>> {
    let cluster = admin.cluster().await?;
    let (existing, missing): (Vec<_>, Vec<_>) =
        topics.into_iter().partition(|topic| cluster.topics.contains_key(topic));
    if existing.is_empty() {
        anyhow::bail!(
            "none of the catalogue's topics exists: create them with `event-bus topics apply`"
        );
    }
    if !missing.is_empty() {
        let missing = missing.iter().map(TopicName::as_str).collect::<Vec<_>>().join(", ");
        tracing::warn!(missing, "topics that do not exist are left out");
    }
    Ok(existing)
}

/// The value of `--from`.
pub fn position(text: &str) -> Result<Position, String> {
    match text {
        "beginning" => Ok(Position::Start),
        "end" => Ok(Position::End),
        time => time
            .parse::<Timestamp>()
            .map(|time| Position::At(time.as_millisecond()))
            .map_err(|_| "want beginning, end, or a time such as 2025-06-01T10:30:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_by_its_name_and_by_its_topics() {
        let catalogue = blindstrader::catalogue();
        let found = |name: &str, dead| topics(&catalogue, &[name.to_owned()], dead).unwrap();
        for name in ["OrderPlaced", "order.placed", "blindstrader.order.placed"] {
            assert_eq!(found(name, false), ["blindstrader.order.placed"]);
            assert_eq!(
                found(name, true),
                ["blindstrader.order.placed", "blindstrader.order.placed.dlq"]
            );
        }
        for name in ["order.placed.dlq", "blindstrader.order.placed.dlq"] {
            assert_eq!(found(name, false), ["blindstrader.order.placed.dlq"]);
        }
        assert!(topics(&catalogue, &["orderplaced".to_owned()], false).is_err());
        let all = topics(&catalogue, &[], false).unwrap().len();
        assert_eq!(topics(&catalogue, &[], true).unwrap().len(), 2 * all);
    }

    #[test]
    fn a_position_is_a_word_or_a_time() {
        assert_eq!(position("beginning"), Ok(Position::Start));
        assert_eq!(position("1970-01-01T00:00:01Z"), Ok(Position::At(1000)));
        assert!(position("yesterday").is_err());
    }
}
