//! The way of a request in and of its answer out: listener, connections, frames.

mod body;
pub(crate) mod connection;
mod frame;
mod line;
mod request;
pub(crate) mod shape;
mod windows;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

pub(crate) use body::Body;
use connection::CloseReason;
pub(crate) use connection::Phase;
use frame::FrameError;
pub(crate) use windows::Windows;

use crate::limits::MAX_QUEUED_BYTES;
use crate::login::Session;
use crate::node::Node;

/// How long nothing is accepted after the system refused a connection, most likely because it is out of file
/// descriptors: asking again at once would only burn time that could free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;
/// What is under way to a client on this machine. Without a bound the system lets it grow to megabytes, which have left
/// the processor's cache before they are read. A far client needs more, for as much is under way as its distance holds.
const LOOPBACK_SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// Opens the listener. Must be called within a runtime.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The ports of a broker that ended are free at once.
    socket.set_reuseaddr(true)?;
    if addr.ip().is_loopback() {
        // Connections inherit it.
        socket.set_send_buffer_size(LOOPBACK_SEND_BUFFER_BYTES)?;
    }
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Accepts connections and serves each in a task of its own, until the phase says to stop and all have ended.
/// Dropped, it drops all of them.
pub(crate) async fn run(listener: TcpListener, node: Arc<Node>, mut phase: watch::Receiver<Phase>) {
    let queued = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
    let for_connections = phase.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = connection::stopping(&mut phase) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < node.config.max_connections => {
                    let (node, queued, phase) = (node.clone(), queued.clone(), for_connections.clone());
                    connections.spawn(serve(stream, peer, node, queued, phase));
                }
                Ok((_, peer)) => {
                    warn!(%peer, limit = node.config.max_connections, "too many connections: refused one");
                }
                Err(error) => {
                    warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Whether an error says no more than that the peer closed the connection.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

/// Serves a connection, once its client may be served.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    node: Arc<Node>,
    queued: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
) {
    // Answers are written whole; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "the connection ended before it began");
        return;
    }
    let session = match node.config.needs_login() {
        true => Session::unknown(),
        false => Session::anonymous(),
    };
    let served = match &node.config.tls {
        None => connection::serve(stream.into_split(), (peer, session), node, queued, phase).await,
        Some(tls) => match tls.accept(stream).await {
            Ok((stream, principal)) => {
                let session = principal.map_or(session, Session::known);
                let halves = tokio::io::split(stream);
                connection::serve(halves, (peer, session), node, queued, phase).await
            }
            Err(reason) => return warn!(%peer, %reason, "refused a connection"),
        },
    };
    tell(peer, served);
}

/// Says why a connection was closed.
fn tell(peer: SocketAddr, served: Result<(), CloseReason>) {
    match served {
        Ok(()) => debug!(%peer, "connection closed"),
        // Why was told when it was refused.
        Err(CloseReason::Unauthenticated) => debug!(%peer, "the client did not log in"),
        Err(reason) if reason.is_defect() => {
            error!(%peer, %reason, "closed a connection after a defect of the broker");
        }
        // Every client that waits for records goes like this.
        Err(CloseReason::Write(error) | CloseReason::Frame(FrameError::Read(error)))
            if is_gone(&error) =>
        {
            debug!(%peer, %error, "the peer is gone");
        }
        Err(reason) => {
            let source = std::error::Error::source(&reason).map(ToString::to_string);
            warn!(%peer, %reason, source, "closed a connection");
        }
    }
}
