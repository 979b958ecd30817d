//! When nothing is left to happen on a test's bus.
//!
//! A group that has committed everything may have written events that no relay has sent, and what was sent may be what
//! another group did not read yet. So the groups are looked at, then the outboxes, then the groups again: where the
//! second look finds the logs as long as the first one did, and no group behind, nothing happened in between that could
//! lead to anything.

use std::time::{Duration, Instant};

use event_bus::kafka::admin::Admin;
use event_bus::lag::GroupLag;
use event_bus::names::{GroupName, TopicName};
use event_bus::{Catalogue, KafkaConfig};

use crate::services::Services;

/// How long everything may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) async fn settled(services: &mut Services, catalogue: &Catalogue, kafka: &KafkaConfig) {
    let admin = Admin::connect(kafka).expect("an admin client can be made");
    let groups: Vec<(GroupName, TopicName)> = services
        .running()
        .iter()
        .flat_map(|running| catalogue.subscriptions_of(&running.name))
        .map(|subscription| (subscription.consumer.group.clone(), subscription.event.topic.clone()))
        .collect();
    let deadline = Instant::now() + DEADLINE;
    loop {
        services.assert_alive().await;
        let before = Look::at(&admin, &groups).await;
        let unsent = unsent(services).await;
        if before.is_settled() && unsent.is_empty() && Look::at(&admin, &groups).await == before {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not settled within {DEADLINE:?}: {}; in outboxes: {unsent:?}",
            before.tell(&groups)
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where the groups stand at a time.
#[derive(PartialEq)]
struct Look {
    lags: Vec<GroupLag>,
}

impl Look {
    async fn at(admin: &Admin, groups: &[(GroupName, TopicName)]) -> Look {
        Look { lags: admin.lag(groups).await.expect("the bus's own broker answers") }
    }

    fn is_settled(&self) -> bool {
        self.lags.iter().all(|lag| lag.total() == 0)
    }

    fn tell(&self, groups: &[(GroupName, TopicName)]) -> String {
        let behind = self.lags.iter().zip(groups).filter(|(lag, _)| lag.total() > 0);
        let behind = behind.map(|(lag, (group, _))| format!("{group} has {} left", lag.total()));
        behind.collect::<Vec<_>>().join(", ")
    }
}

/// The services with rows in their outbox, and how many.
async fn unsent(services: &Services) -> Vec<(String, i64)> {
    let mut unsent = Vec::new();
    for running in services.running() {
        if let Some(outbox) = &running.outbox {
            let rows = outbox.store().outbox_len().await.expect("the database answers");
            if rows > 0 {
                unsent.push((running.name.to_string(), rows));
            }
        }
    }
    unsent
}
