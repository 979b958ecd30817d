//! A TCP proxy whose connections can be made slow, deaf or broken.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock;

/// What is carried at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How connections are treated now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// How much longer a message takes, each way.
    delay: Duration,
    /// Whether answers wait.
    holds: bool,
    /// Whether new connections break.
    refuses: bool,
    /// How often all connections were broken.
    cuts: u64,
}

/// How often what happened to connections.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that broke while a request waited for its answer.
    pub cut_with_a_request_open: AtomicU64,
    /// The same, where the server ended them.
    pub lost_with_a_request_open: AtomicU64,
    /// Answers that came and were not passed on at once.
    pub held: AtomicU64,
    /// Answers that were never passed on.
    pub swallowed: AtomicU64,
    /// Messages that took longer.
    pub delayed: AtomicU64,
    /// Connections whose request waits for its answer now.
    pub open: AtomicU64,
}

/// A proxy. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    pub tally: Arc<Tally>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Carries what connects to it to `upstream` (`host:port`).
    pub async fn start(upstream: String) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::on(listener, upstream)
    }

    /// The same, with a listener that is there already.
    pub fn on(listener: TcpListener, upstream: String) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::default());
        let tally = Arc::new(Tally::default());
        let accepting = tokio::spawn(accept(listener, upstream, seen, Arc::clone(&tally)));
        Ok(Self { address, weather, tally, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections, and new ones until [`Self::heal`].
    pub fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.cuts += 1;
            weather.refuses = true;
        });
    }

    /// Lets each message take longer, until [`Self::heal`].
    pub fn delay(&self, by: Duration) {
        self.weather.send_modify(|weather| weather.delay = by);
    }

    /// Passes no answer on, until [`Self::heal`].
    pub fn hold(&self) {
        self.weather.send_modify(|weather| weather.holds = true);
    }

    /// Carries everything at once again.
    pub fn heal(&self) {
        self.weather
            .send_modify(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }
}

async fn accept(
    listener: TcpListener,
    upstream: String,
    weather: watch::Receiver<Weather>,
    tally: Arc<Tally>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if weather.borrow().refuses {
            continue;
        }
        let (upstream, weather, tally) = (upstream.clone(), weather.clone(), Arc::clone(&tally));
        tokio::spawn(async move {
            // A server that is down: the client is told by the end of its connection.
            let Ok(server) = TcpStream::connect(&upstream).await else { return };
            // Its options don't change what is carried.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            carry(client, server, weather, tally).await;
        });
    }
}

/// Whether something was asked over a connection since its last answer. It is counted for as long.
struct Request {
    is_open: AtomicBool,
    tally: Arc<Tally>,
}

impl Request {
    fn of(tally: &Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { is_open: AtomicBool::new(false), tally: Arc::clone(tally) })
    }

    fn begins(&self) {
        if !self.is_open.swap(true, Ordering::Relaxed) {
            self.tally.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says whether there was one.
    fn ends(&self) -> bool {
        let was_open = self.is_open.swap(false, Ordering::Relaxed);
        if was_open {
            self.tally.open.fetch_sub(1, Ordering::Relaxed);
        }
        was_open
    }
}

/// One connection, both ways.
struct Carrier {
    weather: watch::Receiver<Weather>,
    tally: Arc<Tally>,
    open: Arc<Request>,
    /// Answers that came and are not passed on.
    held: Arc<AtomicU64>,
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    mut weather: watch::Receiver<Weather>,
    tally: Arc<Tally>,
) {
    let cuts = weather.borrow().cuts;
    let (open, held) = (Request::of(&tally), Arc::new(AtomicU64::new(0)));
    let carrier = || Carrier {
        weather: weather.clone(),
        tally: Arc::clone(&tally),
        open: Arc::clone(&open),
        held: Arc::clone(&held),
    };
    let (asks, answers) = (carrier(), carrier());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let broken = tokio::select! {
        _ = asks.requests(from_client, to_server) => None,
        _ = answers.answers(from_server, to_client) => Some(&tally.lost_with_a_request_open),
        _ = weather.wait_for(|now| now.cuts != cuts) => {
            tally.swallowed.fetch_add(held.load(Ordering::Relaxed), Ordering::Relaxed);
            Some(&tally.cut_with_a_request_open)
        }
    };
    if open.ends()
        && let Some(count) = broken
    {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Carrier {
    async fn requests(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = from.read(&mut chunk).await?;
            if length == 0 {
                return Ok(());
            }
            self.open.begins();
            self.linger().await;
            to.write_all(&chunk[..length]).await?;
        }
    }

    async fn answers(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = from.read(&mut chunk).await?;
            if length == 0 {
                return Ok(());
            }
            self.linger().await;
            if self.weather.borrow().holds {
                self.tally.held.fetch_add(1, Ordering::Relaxed);
                self.held.store(1, Ordering::Relaxed);
                // The proxy has ended when nobody changes the weather any more.
                let _ = self.weather.wait_for(|now| !now.holds).await;
                self.held.store(0, Ordering::Relaxed);
            }
            self.open.ends();
            to.write_all(&chunk[..length]).await?;
        }
    }

    async fn linger(&mut self) {
        let delay = self.weather.borrow().delay;
        if !delay.is_zero() {
            self.tally.delayed.fetch_add(1, Ordering::Relaxed);
            clock::pass(delay).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself.
    async fn echo() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
        stream.write_u8(byte).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn what_is_carried_arrives() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream, 7).await.unwrap(), 7);
        proxy.delay(Duration::from_millis(1));
        assert_eq!(ask(&mut stream, 8).await.unwrap(), 8);
        assert_eq!(proxy.tally.delayed.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_held_answer_comes_once_it_heals() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream, 1).await.unwrap(), 1);
        proxy.hold();
        let (answer, ()) = tokio::join!(ask(&mut stream, 2), async {
            while proxy.tally.held.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            proxy.heal();
        });
        assert_eq!(answer.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_cut_breaks_connections_and_a_healed_proxy_takes_new_ones() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream, 1).await.unwrap(), 1);
        proxy.hold();
        stream.write_u8(2).await.unwrap();
        while proxy.tally.held.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        proxy.cut();
        assert!(stream.read_u8().await.is_err());
        assert_eq!(proxy.tally.cut_with_a_request_open.load(Ordering::Relaxed), 1);
        assert_eq!(proxy.tally.swallowed.load(Ordering::Relaxed), 1);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut refused, 3).await.is_err());
        proxy.heal();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream, 4).await.unwrap(), 4);
    }
}
