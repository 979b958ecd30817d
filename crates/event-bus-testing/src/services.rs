//! The services that run on a test's bus.

use std::time::Duration;

use event_bus::names::ServiceName;
use event_bus::outbox::Outbox;
use event_bus::service::RunError;
use event_bus::{Service, StatelessService};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};

/// Offsets are committed so soon that a test need not wait for them.
const COMMIT: Duration = Duration::from_millis(5);
/// How long services may take to stop when the test is over.
const STOP: Duration = Duration::from_secs(20);

/// The running services. Dropped, they are stopped.
pub(crate) struct Services {
    running: Vec<Running>,
    stop: watch::Sender<bool>,
}

pub(crate) struct Running {
    pub(crate) name: ServiceName,
    /// Absent where it has no database.
    pub(crate) outbox: Option<Outbox>,
    task: JoinHandle<Result<(), RunError>>,
}

impl Default for Services {
    fn default() -> Self {
        Self { running: Vec::new(), stop: watch::Sender::new(false) }
    }
}

impl Services {
    pub(crate) fn run(&mut self, service: Service) {
        let outbox = service.outbox().clone();
        let name = outbox.service().clone();
        let task = tokio::spawn(service.committing_every(COMMIT).run(self.stopped()));
        self.running.push(Running { name, outbox: Some(outbox), task });
    }

    pub(crate) fn run_stateless(&mut self, service: StatelessService) {
        let name = service.name().clone();
        let task = tokio::spawn(service.committing_every(COMMIT).run(self.stopped()));
        self.running.push(Running { name, outbox: None, task });
    }

    pub(crate) fn outbox(&self, service: &str) -> &Outbox {
        let running = self.running.iter().find(|running| running.name == service);
        let outbox = running.and_then(|running| running.outbox.as_ref());
        outbox.unwrap_or_else(|| panic!("no service {service} with a database runs on this bus"))
    }

    pub(crate) fn running(&self) -> &[Running] {
        &self.running
    }

    /// Panics with the reason if a service has ended.
    pub(crate) async fn assert_alive(&mut self) {
        for running in &mut self.running {
            if running.task.is_finished() {
                let ended = (&mut running.task).await;
                panic!("the service {} has ended: {ended:?}", running.name);
            }
        }
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move { drop(stop.wait_for(|stop| *stop).await) }
    }
}

impl Drop for Services {
    /// Waits until the services have stopped, for their broker and their files go next.
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let tasks: Vec<_> = self.running.drain(..).map(|running| running.task).collect();
        let runtime = tokio::runtime::Handle::current();
        block_in_place(|| {
            runtime.block_on(async {
                for task in tasks {
                    drop(tokio::time::timeout(STOP, task).await);
                }
            });
        });
    }
}
