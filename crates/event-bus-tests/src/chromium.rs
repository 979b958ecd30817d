//! Chromium without a screen, by WebDriver, which is JSON over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::eventually::eventually;
use crate::process::Process;

/// How long a page may take to show what is waited for, beside many other tests.
const SOON: Duration = Duration::from_secs(90);
/// The name under which WebDriver tells of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. It ends when this is dropped.
pub struct Chromium {
    driver: Process,
    address: String,
    session: String,
    _profile: TempDir,
}

impl Chromium {
    /// Starts it.
    ///
    /// # Panics
    /// When Debian's packages `chromium` and `chromium-driver` are missing, or do not work together.
    pub async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::spawn(command);
        let port = loop {
            let line = driver.line().await;
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let address = format!("127.0.0.1:{port}");
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = format!("--user-data-dir={}", profile.path().display());
        // The sandbox takes rights that a container has not; all that is shown here is ours.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", &folder];
        let options = json!({ "args": arguments });
        let logging = json!({ "browser": "ALL" });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logging });
        let asked = json!({ "capabilities": { "alwaysMatch": wanted } });
        let answer = ask(&address, "POST", "/session", Some(&asked)).await;
        let answer = answer.expect("a browser starts");
        let session = answer["sessionId"].as_str().expect("a session has an id").to_owned();
        Self { driver, address, session, _profile: profile }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        ask(&self.address, method, &format!("/session/{}{path}", self.session), body).await
    }

    /// Opens a page.
    ///
    /// # Panics
    /// When there is none.
    pub async fn open(&self, url: &str) {
        let opened = self.ask("POST", "/url", Some(&json!({ "url": url }))).await;
        opened.expect("the page opens");
    }

    async fn find(&self, css: &str) -> Result<String, String> {
        let by = json!({ "using": "css selector", "value": css });
        let found = self.ask("POST", "/element", Some(&by)).await?;
        found[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| found.to_string())
    }

    /// Does something with the first element of this selector, once there is one.
    async fn with(&self, css: &str, verb: &str, body: &Value) -> Value {
        eventually(SOON, async || {
            let element = self.find(css).await?;
            self.ask("POST", &format!("/element/{element}/{verb}"), Some(body)).await
        })
        .await
    }

    /// Clicks on the first element of this selector, once there is one.
    pub async fn click(&self, css: &str) {
        self.with(css, "click", &json!({})).await;
    }

    /// Types into the first element of this selector, once there is one.
    pub async fn type_into(&self, css: &str, text: &str) {
        self.with(css, "value", &json!({ "text": text })).await;
    }

    /// Waits until the first element of this selector shows a text, and gives all that it shows.
    pub async fn shows(&self, css: &str, text: &str) -> String {
        eventually(SOON, async || {
            let element = self.find(css).await?;
            let shown = self.ask("GET", &format!("/element/{element}/text"), None).await?;
            // Where parts stand beside each other is a matter of style.
            let shown = shown.as_str().unwrap_or_default().split_whitespace();
            let shown = shown.collect::<Vec<_>>().join(" ");
            if shown.contains(text) { Ok(shown) } else { Err(shown) }
        })
        .await
    }

    /// What a script of ours, which the page's own policy does not bind, says of the page.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run(&self, script: &str) -> Value {
        let asked = json!({ "script": script, "args": [] });
        self.ask("POST", "/execute/sync", Some(&asked)).await.expect("the script runs")
    }

    /// Presses the tabulator so often, from wherever the focus is.
    ///
    /// # Panics
    /// When the browser takes no keys.
    pub async fn tab(&self, times: usize) {
        const TABULATOR: &str = "\u{e004}";
        let press = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": TABULATOR }));
        let presses: Vec<&Value> = (0..times).flat_map(|_| &press).collect();
        let keys = json!({ "actions": [{ "type": "key", "id": "keys", "actions": presses }] });
        self.ask("POST", "/actions", Some(&keys)).await.expect("the browser takes keys");
    }

    /// Shows pages in so many pixels from now on.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Prefers `light` or `dark` pages from now on.
    pub async fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
    }

    /// A picture of the page as WebP, in base64: its first so many pixels.
    ///
    /// # Panics
    /// When it is none.
    pub async fn picture(&self, width: u32, height: u32) -> String {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let asked =
            json!({ "format": "webp", "quality": 70, "clip": clip, "captureBeyondViewport": true });
        let told = self.devtools("Page.captureScreenshot", asked).await;
        told["data"].as_str().expect("it is a picture").to_owned()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let asked = json!({ "cmd": command, "params": parameters });
        self.ask("POST", "/goog/cdp/execute", Some(&asked)).await.expect("the browser does it")
    }

    /// What the browser complained of, such as what a page's policy forbids. What it only proposes, `DEBUG`, is no complaint.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", Some(&json!({ "type": "browser" }))).await;
        let log = log.expect("the browser tells its log");
        let log = log.as_array().into_iter().flatten();
        let complaints = log.filter(|entry| entry["level"] != "DEBUG");
        complaints.filter_map(|entry| entry["message"].as_str()).map(str::to_owned).collect()
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn quit(self) {
        self.ask("DELETE", "", None).await.expect("the browser ends");
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.driver.kill_group();
    }
}

async fn ask(
    address: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        // It does not close the connection, whatever is asked.
        let (mut answer, mut bytes) = (BufReader::new(stream), 0);
        loop {
            let mut line = String::new();
            if answer.read_line(&mut line).await? == 0 || line == "\r\n" {
                break;
            }
            let header = line.trim().to_ascii_lowercase();
            if let Some(length) = header.strip_prefix("content-length:") {
                bytes = length.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; bytes];
        answer.read_exact(&mut body).await?;
        Ok::<_, std::io::Error>(body)
    };
    let body = exchange.await.map_err(|error| error.to_string())?;
    let told: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    match told["value"]["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", told["value"]["message"])),
        None => Ok(told["value"].clone()),
    }
}
