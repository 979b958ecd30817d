//! A relay of the bank, in a process of its own.

use event_bus::relay::Relay;
use event_bus::store::Store;
use tokio::sync::watch;

use super::{Args, Ended, kafka, sigterm};
use crate::bank::{BANK, BANK_TABLES};

pub async fn run(args: &Args) -> Ended {
    let store = Store::open(&args.store, BANK_TABLES).await?;
    let (stop, stopping) = watch::channel(false);
    let relay = Relay::new(store.clone(), kafka(&args.bootstrap), BANK).run(stopping);
    let ending = async {
        sigterm().await;
        // A relay that has ended can't be told.
        let _ = stop.send(true);
    };
    tokio::join!(relay, ending);
    store.close().await;
    Ok(())
}
