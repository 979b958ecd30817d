use std::collections::BTreeSet;
use std::time::Duration;

use super::{Plan, Step};
use crate::kafka::admin::{Admin, AdminError, NewTopic};
use crate::names::TopicName;

/// How long new partitions may take to get their leaders.
const READY: Duration = Duration::from_secs(30);

/// What became of one step.
#[derive(Debug)]
pub struct Applied {
    /// The step.
    pub step: Step,
    /// Its outcome.
    pub outcome: Result<(), ApplyError>,
}

/// A step that was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApplyError {
    /// Kafka refused it or did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Its dead letter topic must come first, and failed.
    #[error("not tried, because its dead letter topic {dead_letter_topic} is not as it must be")]
    DeadLetterTopicFailed {
        /// The dead letter topic.
        dead_letter_topic: TopicName,
    },
    /// Kafka's answer did not name the topic.
    #[error("Kafka did not say what became of it")]
    NoAnswer,
}

/// Carries out the steps of a plan, dead letter topics first, and tells of each as it is known. Steps after a failed
/// one are tried too, but none on a topic whose dead letter topic failed. Returns once every topic can be used.
///
/// # Errors
/// When the new partitions did not get leaders in time; the steps' own failures are told to `on_applied`.
pub async fn apply(
    admin: &Admin,
    plan: &Plan,
    mut on_applied: impl FnMut(Applied),
) -> Result<(), AdminError> {
    let mut failed = BTreeSet::new();
    let mut grown = Vec::new();
    for is_dead_letter in [true, false] {
        let steps =
            || plan.steps.iter().filter(move |step| step.is_dead_letter() == is_dead_letter);
        for kind in [Kind::Create, Kind::Extend, Kind::Configure] {
            let (blocked, ready): (Vec<&Step>, Vec<&Step>) = steps()
                .filter(|step| kind.is_of(step))
                .partition(|step| failed.contains(&step.topic().dead_letter()));
            for step in blocked {
                let dead_letter_topic = step.topic().dead_letter();
                let outcome = Err(ApplyError::DeadLetterTopicFailed { dead_letter_topic });
                on_applied(Applied { step: step.clone(), outcome });
            }
            for applied in kind.apply(admin, &ready).await {
                match (&applied.outcome, &applied.step) {
                    (Err(_), step) => {
                        failed.insert(step.topic().clone());
                    }
                    (
                        Ok(()),
                        Step::Create { topic, partitions: count, .. }
                        | Step::Extend { topic, to: count, .. },
                    ) => {
                        grown.push((topic.clone(), *count));
                    }
                    (Ok(()), Step::Configure { .. }) => {}
                }
                on_applied(applied);
            }
        }
    }
    if grown.is_empty() { Ok(()) } else { admin.await_topics(&grown, READY).await }
}

/// Steps of one kind go to Kafka in one request.
#[derive(Clone, Copy)]
enum Kind {
    Create,
    Extend,
    Configure,
}

type Answers = Result<Vec<(TopicName, Result<(), AdminError>)>, AdminError>;

impl Kind {
    fn is_of(self, step: &Step) -> bool {
        matches!(
            (self, step),
            (Self::Create, Step::Create { .. })
                | (Self::Extend, Step::Extend { .. })
                | (Self::Configure, Step::Configure { .. })
        )
    }

    async fn apply(self, admin: &Admin, steps: &[&Step]) -> Vec<Applied> {
        let answers = self.ask(admin, steps).await;
        steps
            .iter()
            .map(|step| {
                let outcome = match &answers {
                    Err(error) => Err(error.clone().into()),
                    Ok(answers) => answers
                        .iter()
                        .find(|(topic, _)| topic == step.topic())
                        .map_or(Err(ApplyError::NoAnswer), |(_, answer)| {
                            answer.clone().map_err(Into::into)
                        }),
                };
                Applied { step: (*step).clone(), outcome }
            })
            .collect()
    }

    async fn ask(self, admin: &Admin, steps: &[&Step]) -> Answers {
        match self {
            Self::Create => {
                admin
                    .create_topics(
                        &steps.iter().filter_map(|step| new_topic(step)).collect::<Vec<_>>(),
                    )
                    .await
            }
            Self::Extend => {
                let counts = steps.iter().filter_map(|step| match step {
                    Step::Extend { topic, to, .. } => Some((topic.clone(), *to)),
                    Step::Create { .. } | Step::Configure { .. } => None,
                });
                admin.extend_topics(&counts.collect::<Vec<_>>()).await
            }
            Self::Configure => {
                let configs = steps.iter().filter_map(|step| match step {
                    Step::Configure { topic, configs, .. } => {
                        let set =
                            configs.iter().map(|change| (change.name, change.to.clone())).collect();
                        Some((topic.clone(), set))
                    }
                    Step::Create { .. } | Step::Extend { .. } => None,
                });
                admin.set_configs(configs.collect()).await
            }
        }
    }
}

fn new_topic(step: &Step) -> Option<NewTopic> {
    let Step::Create { topic, partitions, replication, configs, .. } = step else { return None };
    Some(NewTopic {
        name: topic.clone(),
        partitions: *partitions,
        replication: *replication,
        configs: configs.iter().map(|change| (change.name, change.to.clone())).collect(),
    })
}
