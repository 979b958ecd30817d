//! A service that runs beside its benchmark.

use event_bus::{Service, StatelessService};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Runs until it is stopped.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(service: Service) -> Running {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            service.run(async { drop(stopped.await) }).await.expect("the service ends well");
        });
        Running { stop, task }
    }

    pub fn start_stateless(service: StatelessService) -> Running {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            service.run(async { drop(stopped.await) }).await.expect("the service ends well");
        });
        Running { stop, task }
    }

    pub async fn stop(self) {
        self.stop.send(()).expect("the service still runs");
        self.task.await.expect("it ends well");
    }
}
