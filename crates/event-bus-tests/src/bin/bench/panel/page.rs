//! A page, asked for as a proxy does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What was answered.
pub struct Page {
    pub status: u16,
    /// How large it is, its headers included.
    pub bytes: usize,
}

impl Page {
    /// Asks for a page with a cookie, and reads all of it.
    pub async fn ask(address: &str, path: &str, cookie: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it listens");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        let head = String::from_utf8_lossy(&answer[..answer.len().min(64)]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self { status: status.expect("an answer begins with its status"), bytes: answer.len() }
    }
}
