//! One HTTP request, on a connection of its own.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A request that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nobody listens there.
    #[error("no connection")]
    Connect(#[from] io::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// The answer is larger than anything that is waited for.
    #[error("the answer has more than {limit_bytes} bytes")]
    TooLarge {
        /// What is taken.
        limit_bytes: usize,
    },
}

/// Sends a request and reads the whole answer, of whatever size.
pub(crate) async fn exchange(
    address: (&str, u16),
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    exchange_on(TcpStream::connect(address).await?, request, usize::MAX).await
}

/// Sends a request on a connection that is there, and reads the whole answer.
pub(crate) async fn exchange_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    limit_bytes: usize,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit_bytes).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => ExchangeError::Http(*error),
            // There is no other error of a bounded body.
            Err(_) => ExchangeError::TooLarge { limit_bytes },
        })?;
        Ok((status, body.to_bytes()))
    };
    // The connection is worked on until the answer is read; it may end before that is noticed.
    let connection = tokio::spawn(connection);
    let answer = answer.await;
    connection.abort();
    answer
}
