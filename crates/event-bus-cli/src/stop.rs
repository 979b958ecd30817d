use std::io::{self, Read};
use std::{process, thread};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Turns true once the process is to stop: at SIGTERM or SIGINT, or with `until_stdin_ends` at the end of stdin. The
/// second signal ends the process at once.
pub fn requested(until_stdin_ends: bool) -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, stop) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be listened for")?;
    let by_signal = sender.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if by_signal.send_replace(true) {
                tracing::warn!("stopped at once, by a second signal");
                process::exit(1);
            }
        }
    });
    if until_stdin_ends {
        // A thread, because a read of stdin can't be cancelled when the process ends for another reason.
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut ignored = [0; 64];
            while matches!(io::stdin().read(&mut ignored), Ok(1..)) {}
            // Not a second signal when one came before.
            sender.send_if_modified(|stop| !std::mem::replace(stop, true));
        })?;
    }
    Ok(stop)
}

/// Completes once a stop is requested.
pub async fn of(mut stop: watch::Receiver<bool>) {
    // The sender lives as long as the process listens for signals.
    drop(stop.wait_for(|stop| *stop).await);
}
