//! Connections, each of which gets HTTP/1.1 and no more time than it needs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How long requests that are under way at the end may take.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// So long may the headers of a request take, from the end of the one before it on.
const HEADERS: Duration = Duration::from_secs(15);
/// A request's line and headers have at most so many bytes: a page of chosen dead letters is named in one line.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// So many are connected at once; others wait.
const CONNECTIONS: usize = 1_024;
/// The pause where the system has no more sockets.
const REST: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Turns true when the process ends, for answers that would not end by themselves.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

/// Answers on `listener` by these routes until `stop` turns true.
///
/// # Errors
/// When the socket can't accept connections.
pub async fn answer(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stopping = Stopping(stop.clone());
    let (open, connections) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            // A sender that is gone means the end too.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted just now");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let (routes, stopping) = (TowerToHyperService::new(router.clone()), stopping.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(stopping.clone());
            routes.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEAD_BYTES);
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // What a client broke off is for its own log.
            drop(connection.await);
            drop(permit);
        });
    }
    drop(tokio::time::timeout(LAST_REQUESTS, open.shutdown()).await);
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
