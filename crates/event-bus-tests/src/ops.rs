//! `event-bus ops serve`, as a process.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts it on a port of its own. The command has its store, and a level of the log by which it says where it answers.
///
/// # Panics
/// When it can't be run.
pub fn start(mut command: Command) -> Child {
    command.args(["--http", "127.0.0.1:0"]).stderr(Stdio::piped());
    command.spawn().expect("the program can be run")
}

/// Where its API answers, once it does. `told` gets each line that it writes, from the first on.
///
/// # Panics
/// When it ends before.
pub async fn address(child: &mut Child, mut told: impl FnMut(&str) + Send + 'static) -> SocketAddr {
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("it can be read").expect("it goes on");
        told(&line);
        if let Some((_, address)) = line.rsplit_once("the API answers http=") {
            let address = address.split_whitespace().next().unwrap_or(address);
            break address.parse().expect("it is an address");
        }
    };
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            told(&line);
        }
    });
    address
}
