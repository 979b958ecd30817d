//! The eight services by name.

use std::sync::Arc;

use event_bus::service::OpenError;
use event_bus::store::Migration;
use event_bus::{Catalogue, EventType, Handler, KafkaConfig, Service};

use crate::{brand, identity, notification, payment, platform, retailer, supplier, supply_chain};

/// The services' names, in the catalogue's order.
pub const SERVICES: [&str; 8] = [
    brand::NAME,
    supplier::NAME,
    retailer::NAME,
    supply_chain::NAME,
    payment::NAME,
    notification::NAME,
    identity::NAME,
    platform::NAME,
];

/// What handlers are attached to: a running service, or whoever wants to know what a service handles.
pub trait Subscriber: Sized {
    /// Attaches the handler of one event.
    #[must_use]
    fn on<E: EventType>(self, handler: impl Handler<E>) -> Self;
}

impl Subscriber for Service {
    fn on<E: EventType>(self, handler: impl Handler<E>) -> Self {
        Service::on(self, handler)
    }
}

/// A service that can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenServiceError {
    /// No service has the name.
    #[error("there is no service `{name}`: the services are {}", SERVICES.join(", "))]
    UnknownService {
        /// The name that was asked for.
        name: String,
    },
    /// The library could not open it.
    #[error("the service {name} could not be opened")]
    Open {
        /// The service.
        name: String,
        /// Why not.
        #[source]
        source: OpenError,
    },
}

/// A service: its tables and its handlers.
pub(crate) struct Definition<S> {
    pub name: &'static str,
    pub migrations: &'static [Migration],
    pub attach: fn(S) -> S,
}

macro_rules! definitions {
    ($($service:ident),* $(,)?) => {
        [$(Definition {
            name: $service::NAME,
            migrations: $service::MIGRATIONS,
            attach: $service::attach,
        }),*]
    };
}

pub(crate) fn definitions<S: Subscriber>() -> [Definition<S>; SERVICES.len()] {
    definitions![brand, supplier, retailer, supply_chain, payment, notification, identity, platform]
}

/// Opens a service by name, its tables up to date and all its handlers attached. `store_url` is its database's, which
/// no other service uses.
///
/// # Errors
/// When there is no such service, or the library can't open it.
pub async fn open(
    name: &str,
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    store_url: &str,
) -> Result<Service, OpenServiceError> {
    let definition = definitions::<Service>()
        .into_iter()
        .find(|definition| definition.name == name)
        .ok_or_else(|| OpenServiceError::UnknownService { name: name.to_owned() })?;
    let service = Service::open(name, catalogue, kafka, store_url, definition.migrations)
        .await
        .map_err(|source| OpenServiceError::Open { name: name.to_owned(), source })?;
    Ok((definition.attach)(service))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue;

    /// Notes the names of the events that a service handles.
    #[derive(Default)]
    struct Recorder(Vec<&'static str>);

    impl Subscriber for Recorder {
        fn on<E: EventType>(mut self, _handler: impl Handler<E>) -> Self {
            self.0.push(E::NAME);
            self
        }
    }

    #[test]
    fn every_service_of_the_catalogue_is_here_in_its_order() {
        let catalogue = catalogue();
        let names: Vec<_> = catalogue.services().map(|(service, _)| service.as_str()).collect();
        assert_eq!(names, SERVICES);
        assert_eq!(definitions::<Recorder>().map(|definition| definition.name), SERVICES);
    }

    #[test]
    fn every_subscription_of_the_catalogue_has_one_handler() {
        let catalogue = catalogue();
        let wanted: BTreeSet<_> = catalogue
            .subscriptions()
            .map(|subscription| {
                (subscription.consumer.service.to_string(), subscription.event.name.to_string())
            })
            .collect();
        let mut handled = BTreeSet::new();
        for definition in definitions::<Recorder>() {
            for event in (definition.attach)(Recorder::default()).0 {
                assert!(
                    handled.insert((definition.name.to_owned(), event.to_owned())),
                    "{event} twice"
                );
            }
        }
        assert_eq!(handled, wanted);
    }

    #[test]
    fn a_services_steps_are_numbered_from_one() {
        for definition in definitions::<Recorder>() {
            let versions: Vec<_> = definition.migrations.iter().map(|step| step.version).collect();
            let expected: Vec<_> = (1..).take(versions.len()).collect();
            assert_eq!(versions, expected, "{}", definition.name);
        }
    }
}
