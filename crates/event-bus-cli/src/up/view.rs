//! What `up` shows: a screen that is drawn over and over on a terminal, lines or JSON elsewhere.

mod numbers;
mod lines;
mod screen;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus_ops::{Health, Snapshot, Watch};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::notes::Notes;
use crate::output::{Format, Output};
use numbers::Rate;
use screen::Screen;

/// How often the screen is drawn.
const SCREEN: Duration = Duration::from_millis(500);
/// How often a line is written where there is no screen.
const LINE: Duration = Duration::from_secs(5);

/// How the view is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Screen,
    Lines,
    Json,
}

impl Look {
    /// A screen where stdout is a terminal that can draw one.
    pub fn of(format: Format) -> Self {
        let terminal = console::Term::stdout();
        match format {
            Format::Json => Self::Json,
            Format::Table if io::stdout().is_terminal() && terminal.features().is_attended() => {
                let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
                if is_dumb { Self::Lines } else { Self::Screen }
            }
            Format::Table => Self::Lines,
        }
    }
}

/// What does not change while it runs.
#[derive(Clone, Debug)]
pub struct Facts {
    pub started: Instant,
    pub kafka: String,
    pub is_embedded: bool,
    pub http: SocketAddr,
    /// The link by which the first administrator of the panel comes in, where nobody has.
    pub set_up: Option<String>,
    pub data: PathBuf,
}

/// All that there is to show at a moment.
struct Frame<'a> {
    facts: &'a Facts,
    uptime: Duration,
    snapshot: Option<Arc<Snapshot>>,
    /// Events a second.
    rate: f64,
    health: Health,
}

/// The view. What it needs to go on with from one moment to the next.
pub struct View {
    look: Look,
    facts: Facts,
    watch: Watch,
    output: Output,
    screen: Screen,
    rate: Rate,
}

impl View {
    pub fn new(look: Look, facts: Facts, watch: Watch, notes: Notes, output: Output) -> Self {
        Self { look, facts, watch, output, screen: Screen::new(notes), rate: Rate::default() }
    }

    /// How often Kafka is asked: about as often as somebody looks.
    pub fn pause(&self) -> Duration {
        match self.look {
            Look::Screen => SCREEN,
            Look::Lines | Look::Json => Duration::from_secs(1),
        }
    }

    /// Tells where everything is, before it runs.
    pub fn opened(&mut self) -> anyhow::Result<()> {
        let Facts { kafka, http, data, set_up, .. } = self.facts.clone();
        if self.facts.is_embedded {
            self.say(&format!("Kafka protocol on {kafka}"))?;
        }
        self.say(&format!("panel on http://{http}"))?;
        if let Some(link) = set_up {
            self.say(&format!("nobody can sign in yet: {link} is good once, and for a day"))?;
        }
        self.say(&format!("health on http://{http}/readyz"))?;
        self.say(&format!("data in {}", data.display()))
    }

    /// Tells that everything runs.
    pub fn ready(&mut self) -> anyhow::Result<()> {
        let seconds = self.facts.started.elapsed().as_secs_f64();
        if self.look == Look::Json {
            let Facts { kafka, http, data, set_up, .. } = &self.facts;
            let seconds = (seconds * 1000.0).round() / 1000.0;
            let document = json!({ "ready_in_seconds": seconds, "kafka": kafka, "http": http, "data": data, "set_up": set_up });
            self.output.json_line(&document)?;
            return self.output.flush();
        }
        self.say(&format!("ready in {seconds:.1} s"))
    }

    /// Shows how things go, for ever.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        let mut ticks = interval(if self.look == Look::Screen { SCREEN } else { LINE });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.show()?;
        }
    }

    /// Shows how things are now.
    fn show(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let snapshot = self.watch.snapshots().borrow().clone();
        // Without a partition's records it would be told that they came when that is counted again.
        if let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.is_whole()) {
            self.rate.note(snapshot.at, snapshot.events());
        }
        let frame = Frame {
            facts: &self.facts,
            uptime: now.saturating_duration_since(self.facts.started),
            snapshot,
            rate: self.rate.per_second(),
            health: self.watch.health(now),
        };
        match self.look {
            Look::Screen => self.screen.draw(&frame, &mut self.output)?,
            Look::Lines => self.output.line(&lines::line(&frame))?,
            Look::Json => self.output.json_line(&lines::document(&frame))?,
        }
        self.output.flush()
    }

    /// A line for people.
    pub fn say(&mut self, line: &str) -> anyhow::Result<()> {
        if self.look != Look::Json {
            self.output.line(line)?;
        }
        self.output.flush()
    }
}
