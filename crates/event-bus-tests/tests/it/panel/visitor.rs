//! A browser as small as can be: it keeps cookies, says where its forms come from, and shows nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus_tests::eventually::eventually;
use event_bus_tests::process::escaped;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How long something may take to be shown.
const SOON: Duration = Duration::from_secs(90);

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    /// All headers of a name.
    pub fn headers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The text between two others, the first time.
    pub fn between(&self, before: &str, after: &str) -> &str {
        let (_, rest) =
            self.body.split_once(before).unwrap_or_else(|| panic!("{before}: {self:?}"));
        rest.split_once(after).unwrap_or_else(|| panic!("{after}: {self:?}")).0
    }

    /// The value of a field of a form.
    pub fn field(&self, name: &str) -> String {
        let value = self.between(&format!("name=\"{name}\" value=\""), "\"");
        value.replace("&amp;", "&").replace("&#38;", "&")
    }

    pub fn shows(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// What it says, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

#[derive(Clone)]
pub struct Visitor {
    address: SocketAddr,
    pub cookies: BTreeMap<String, String>,
    /// What the forms of the last page carry.
    csrf: String,
}

impl Visitor {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, cookies: BTreeMap::new(), csrf: String::new() }
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// The page, once it shows this.
    pub async fn once_it_shows(&self, path: &str, text: &str) -> Answer {
        eventually(SOON, async || {
            let page = self.clone().get(path).await;
            if page.shows(text) { Ok(page) } else { Err(page.body) }
        })
        .await
    }

    /// Asks with a token; a body is JSON.
    pub async fn bearing(&mut self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", &*token), ("Content-Type", "application/json")];
        self.ask(method, path, &headers, body).await
    }

    /// Asks the API, to have something done where there is a body.
    pub async fn api(&mut self, token: &str, path: &str, body: Option<&Value>) -> Answer {
        let (method, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
        self.bearing(token, method, &format!("/api/v1{path}"), &body).await
    }

    /// Follows where it is sent on to.
    pub async fn visit(&mut self, path: &str) -> Answer {
        let mut answer = self.get(path).await;
        while answer.status == 303 {
            let to = answer.header("location").to_owned();
            answer = self.get(&to).await;
        }
        answer
    }

    /// Sends a form of the last page.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", path, fields).await
    }

    /// Sends one by another verb.
    pub async fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (origin, csrf) = (self.origin(), self.csrf.clone());
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", &*csrf)]).collect();
        let headers = [("Origin", &*origin), ("Sec-Fetch-Site", "same-origin")];
        self.ask(method, path, &headers, &form(&fields)).await
    }

    pub async fn signs_in(&mut self, name: &str, password: &str) {
        let answer = self.post("/sign-in", &[("name", name), ("password", password)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self.get("/account").await;
    }

    /// How each request begins.
    fn head(&self, method: &str, path: &str) -> String {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nCookie: {cookies}\r\n", self.address)
    }

    /// Follows what is streamed.
    pub async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Followed {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("{}{headers}\r\n", self.head("GET", path));
        Followed::start(self.address, &request).await
    }

    /// Asks for whatever is said, and takes cookies.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = self.head(method, path);
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = exchange(self.address, &format!("{head}\r\n{body}")).await;
        for cookie in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.1.split_once('=').expect("a cookie has a name");
            let value = value.split(';').next().unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        if answer.shows("name=\"csrf\"") {
            self.csrf = answer.field("csrf");
        }
        answer
    }
}

/// What is streamed, as far as it came. It is read from the first call of [`Followed::text`] on.
pub struct Followed {
    stream: Option<TcpStream>,
    text: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Followed {
    async fn start(address: SocketAddr, request: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        // Whoever reads slowly is noticed soon.
        socket.set_recv_buffer_size(4_096).expect("a buffer can be small");
        let mut stream = socket.connect(address).await.expect("somebody listens");
        stream.write_all(request.as_bytes()).await.expect("it listens");
        Self { stream: Some(stream), text: Arc::default(), reading: None }
    }

    /// All that came until now.
    pub fn text(&mut self) -> String {
        if let Some(mut stream) = self.stream.take() {
            let text = Arc::clone(&self.text);
            self.reading = Some(tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let came = String::from_utf8_lossy(&bytes[..count]);
                    text.lock().expect("nobody panics").push_str(&came);
                }
            }));
        }
        self.text.lock().expect("nobody panics").clone()
    }

    /// The status that it began with, once it came.
    pub fn status(&mut self) -> Option<u16> {
        let text = self.text();
        text.split_once("\r\n")?.0.split(' ').nth(1)?.parse().ok()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.reading.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

/// A form as browsers write it.
pub fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
    fields.collect::<Vec<_>>().join("&")
}

/// Sends bytes, and reads what is answered until the connection ends.
pub async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    // Who refuses a request that is too large does so before it has all of it.
    drop(stream.write_all(request.as_bytes()).await);
    let mut bytes = Vec::new();
    // And its end of the connection may be reset; what came before that is the answer.
    drop(stream.read_to_end(&mut bytes).await);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or("0");
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().expect("a status is a number"),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}
