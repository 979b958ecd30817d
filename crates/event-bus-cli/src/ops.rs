//! `event-bus ops`: the process that knows all dead letters, carries replays out and serves the panel, and who may ask it.

mod oidc;
mod user;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use event_bus::audit::Mirror;
use event_bus::dead_letters::guarded::Worker;
use event_bus::dead_letters::{Indexer, Progress, Scope};
use event_bus::kafka::admin::{Admin, Wanted};
use event_bus::publisher::Publisher;
use event_bus::store::ops::{ApiToken, OpsStore, Role};
use event_bus::{Catalogue, KafkaConfig};
use event_bus_ops::access::oidc::Provider;
use event_bus_ops::access::origin::Origin;
use event_bus_ops::access::trail::{self, By, Deed, Note};
use event_bus_ops::desk::Desk;
use event_bus_ops::{LagCollector, Watch, http, panel};
use jiff::Timestamp;
use regex::Regex;
use serde_json::json;

use crate::address::address;
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::operator::Operator;
use crate::output::{Output, printable};
use crate::settings::Settings;
use crate::{progress, stop, telling};
use oidc::Oidc;
use user::User;

/// How long the database may take to say farewell. Nothing is done on its connections any more.
const STORE_CLOSE: Duration = Duration::from_secs(5);

/// The pause between two looks at topics and groups.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub enum Command {
    /// Index all dead letters, carry replays out, serve the panel and answer the API, until SIGTERM or Ctrl-C
    Serve(Box<Serve>),
    /// Say who may sign in to the panel
    #[command(subcommand)]
    User(User),
    /// Make, list and revoke tokens of the API
    #[command(subcommand)]
    Token(Token),
}

/// The ops store.
#[derive(clap::Args)]
pub struct Where {
    /// The ops store, sqlite://… or postgres://…; it is made where it is missing
    #[arg(
        long,
        env = "EVENT_BUS_OPS_STORE",
        value_name = "URL",
        default_value = "sqlite://event-bus-ops.db"
    )]
    store: String,
}

/// The ops store, and who works on it.
#[derive(clap::Args)]
pub struct Work {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    operator: Operator,
}

#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    at: Where,
    /// Where the panel and the API answer
    #[arg(long, value_name = "HOST:PORT", value_parser = address, default_value = "127.0.0.1:9300")]
    http: SocketAddr,
    /// Where browsers find the panel [default: http:// and the address of --http]
    #[arg(long, value_name = "URL")]
    panel: Option<Origin>,
    /// Read all dead letters from Kafka once more, and forget what the index knows
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    two: Two,
    #[command(flatten)]
    oidc: Oidc,
    #[command(flatten)]
    lag: Lag,
}

/// Of which groups `/metrics` tells the lag.
#[derive(clap::Args)]
pub struct Lag {
    /// Collect the lag of all groups every so many seconds, 30 at most: a look that is older than a minute alerts somebody
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
    lag_every: u64,
    /// Only of groups whose whole name this regular expression matches, as with kafka_exporter's --group.filter
    #[arg(long, value_name = "REGEX", default_value = ".*", value_parser = whole)]
    lag_groups: Regex,
    /// Only of topics whose whole name this regular expression matches; Kafka's own, which begin with two underscores, are never told of
    #[arg(long, value_name = "REGEX", default_value = ".*", value_parser = whole)]
    lag_topics: Regex,
}

impl Lag {
    fn collector(&self, catalogue: &Arc<Catalogue>) -> LagCollector {
        let (groups, topics) = (self.lag_groups.clone(), self.lag_topics.clone());
        let wanted = Wanted {
            group: Arc::new(move |name| groups.is_match(name)),
            topic: Arc::new(move |name| !name.starts_with("__") && topics.is_match(name)),
        };
        LagCollector::new(Arc::clone(catalogue), wanted, Duration::from_secs(self.lag_every))
    }
}

/// A regular expression for whole names.
fn whole(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())
}

/// What takes two.
#[derive(clap::Args)]
pub struct Two {
    /// Replay or discard more than so many dead letters at once only when somebody else approves it [default: nobody else has to]
    #[arg(long, value_name = "N")]
    second_person_above: Option<u64>,
}

#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it: it can't be shown again
    Make {
        /// Who gets it: what is done with it is audited under this name
        name: String,
        /// What its holder may do
        #[arg(long, value_parser = Role::NAMES, default_value = "operator")]
        role: String,
        #[command(flatten)]
        scope: ScopeOptions,
        #[command(flatten)]
        at: Work,
    },
    /// Show who has a token
    List {
        #[command(flatten)]
        at: Where,
    },
    /// Take a token away
    Revoke {
        /// Whose
        name: String,
        #[command(flatten)]
        at: Work,
    },
}

/// With whose dead letters.
#[derive(clap::Args)]
pub struct ScopeOptions {
    /// Only with dead letters of this service's groups; several times for more [default: all]
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only with dead letters of this tenant; several times for more [default: all]
    #[arg(long, value_name = "ID")]
    tenant: Vec<String>,
}

impl ScopeOptions {
    fn scope(&self) -> Scope {
        Scope::of(&self.service, &self.tenant)
    }
}

/// Names of a scope, as a table shows them.
fn told(names: Option<&BTreeSet<String>>) -> String {
    names.map_or("all".to_owned(), |names| {
        printable(&names.iter().cloned().collect::<Vec<_>>().join(", "))
    })
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(serve) => Box::pin(serve.run(global)).await,
            Self::Token(token) => token.run(global).await,
            Self::User(user) => user.run(global).await,
        }
    }
}

impl Where {
    pub async fn open(&self) -> anyhow::Result<OpsStore> {
        Ok(OpsStore::open(&self.store).await?)
    }
}

impl Work {
    async fn open(&self) -> anyhow::Result<OpsStore> {
        self.at.open().await
    }

    /// Does what somebody at this machine is about to do, once that is written.
    async fn does<T>(
        &self,
        store: &OpsStore,
        note: Note,
        deed: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        trail::does(store, By { name: &self.operator.by, role: By::SHELL }, note, deed).await
    }
}

impl Serve {
    async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        event_bus::kafka::keep_heap_small();
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        // Before anything is opened, so that a signal meanwhile is not lost.
        let mut requested = stop::requested(false)?;
        let store = self.at.open().await?;
        let listener = telling::listen(self.http).await?;
        let address = listener.local_addr()?;
        let origin = match self.panel {
            Some(panel) => panel,
            None => at(address)?,
        };
        let provider = self.oidc.provider(&origin)?;
        if self.rebuild {
            store.forget_index().await.context("the index could not be forgotten")?;
        }
        let Ops { store, indexer, worker, mirror, lag, desk, watch, admin, kafka } =
            Ops::on(store, &catalogue, &kafka, &self.two, &self.lag)?;
        tokio::select! {
            caught_up = catch_up(&indexer) => caught_up?,
            _ = requested.wait_for(|stop| *stop) => return Ok(Exit::Done),
        }
        tracing::info!(http = %address, "the API answers");
        let link = match &provider {
            // Whoever is an administrator there is one here.
            Some(provider) if provider.has_administrators() => None,
            _ => set_up_link(&store, &origin).await?,
        };
        tell(&mut global.output(), &origin, link, provider.as_deref())?;
        let router = panel::router_with(&desk, http::of_lag(lag.clone()), provider.clone());
        let answering = http::answer(listener, router, requested.clone());
        let looking = watch.run(admin.clone(), LOOK, stop::of(requested.clone()));
        let collecting = lag.run(admin, kafka, &store, stop::of(requested.clone()));
        let (answered, (), (), (), (), (), ()) = tokio::join!(
            answering,
            looking,
            collecting,
            oidc::look(provider.as_deref(), stop::of(requested.clone())),
            indexer.run(requested.clone()),
            mirror.run(requested.clone()),
            worker.run(requested)
        );
        answered.context("the API can't answer any more")?;
        if tokio::time::timeout(STORE_CLOSE, store.close()).await.is_err() {
            tracing::warn!("the ops store did not let go of its connections in time");
        }
        Ok(Exit::Done)
    }
}

/// The parts of an ops process, which stand on one store.
pub struct Ops {
    pub store: Arc<OpsStore>,
    pub indexer: Indexer,
    pub worker: Worker,
    pub mirror: Mirror,
    pub lag: LagCollector,
    pub desk: Desk,
    /// What the desk tells of topics and groups, once somebody has it look.
    pub watch: Watch,
    pub admin: Admin,
    pub kafka: KafkaConfig,
}

impl Ops {
    /// On this store, for the dead letters of this catalogue. None of it does anything yet.
    pub fn on(
        store: OpsStore,
        catalogue: &Arc<Catalogue>,
        kafka: &KafkaConfig,
        two: &Two,
        lag: &Lag,
    ) -> anyhow::Result<Self> {
        let (store, catalogue) = (Arc::new(store), Arc::clone(catalogue));
        let publisher = Publisher::connect(Arc::clone(&catalogue), &kafka.without_linger())?;
        let publisher = Arc::new(publisher);
        let (watch, admin) = (Watch::new(Arc::clone(&catalogue)), Admin::connect(kafka)?);
        Ok(Self {
            indexer: Indexer::new(Arc::clone(&store), kafka.clone(), Arc::clone(&catalogue)),
            worker: Worker::new(Arc::clone(&store), kafka.clone(), Arc::clone(&publisher)),
            mirror: Mirror::new(Arc::clone(&store), Arc::clone(&publisher)),
            lag: lag.collector(&catalogue),
            desk: Desk::new(
                Arc::clone(&store),
                catalogue,
                kafka.clone(),
                publisher,
                watch.clone(),
                admin.clone(),
            )
            .with_second_person_above(two.second_person_above),
            store,
            watch,
            admin,
            kafka: kafka.clone(),
        })
    }
}

/// The link by which the first administrator comes in; `None` where somebody did.
pub async fn set_up_link(store: &OpsStore, panel: &Origin) -> anyhow::Result<Option<String>> {
    let token = store.invite_first(Timestamp::now()).await?;
    Ok(token.map(|token| format!("{panel}/welcome?token={token}")))
}

/// Where browsers on this machine find what answers there.
pub fn at(http: SocketAddr) -> anyhow::Result<Origin> {
    Ok(format!("http://{http}").parse()?)
}

/// Says where the panel is, and how to come in where nobody has.
fn tell(
    output: &mut Output,
    panel: &Origin,
    link: Option<String>,
    provider: Option<&Provider>,
) -> anyhow::Result<()> {
    let issuer = provider.map(Provider::issuer);
    if output.is_json() {
        let panel = panel.to_string();
        output.json_line(&json!({ "panel": panel, "set_up": link, "issuer": issuer }))?;
    } else {
        output.line(&format!("panel on {panel}"))?;
        if let Some(issuer) = issuer {
            output.line(&format!("users sign in by {issuer}"))?;
        }
        if let Some(link) = link {
            let who =
                if issuer.is_some() { "there is no administrator" } else { "nobody can sign in" };
            output.line(&format!("{who} yet: {link} is good once, and for a day"))?;
        }
    }
    output.flush()
}

/// Until the index is there, replays would go by half of it.
async fn catch_up(indexer: &Indexer) -> anyhow::Result<()> {
    let mut bar = progress::bar(None, "records");
    let caught_up = indexer.catch_up(|progress| match progress {
        Progress::Of(total) => bar = progress::bar(Some(total), "records"),
        Progress::Read(more) => bar.inc(more),
    });
    caught_up.await?;
    bar.finish_and_clear();
    Ok(())
}

fn has_a_token<T>(name: &str) -> anyhow::Result<T> {
    usage(format!("{name} has a token: `event-bus ops token revoke {name}` takes it away"))
}

impl Token {
    async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut output = global.output();
        match self {
            Self::Make { name, role, scope, at } => {
                let (role, scope): (Role, Scope) = (role.parse()?, scope.scope());
                let store = at.open().await?;
                let said = json!({ "role": role, "scope": scope });
                let made = async {
                    let token = store.make_token(&name, role, &scope).await?;
                    token.map_or_else(|| has_a_token(&name), Ok)
                };
                let note = Note::of(Deed::MakeToken, &name).with(said);
                let token = at.does(&store, note, made).await?;
                if output.is_json() {
                    output.json_document(&json!({ "name": name, "role": role, "token": token }))?;
                } else {
                    output.line(&token)?;
                    output.flush()?;
                }
            }
            Self::List { at } => {
                let tokens = at.open().await?.tokens().await?;
                if output.is_json() {
                    output.json_document(&tokens)?;
                } else {
                    let cells = |token: &ApiToken| {
                        vec![
                            printable(&token.name),
                            token.role.to_string(),
                            told(token.scope.services.as_ref()),
                            told(token.scope.tenants.as_ref()),
                            token.made_at.to_string(),
                        ]
                    };
                    let header = ["NAME", "ROLE", "SERVICES", "TENANTS", "MADE AT"];
                    output.table(&header, tokens.iter().map(cells))?;
                }
            }
            Self::Revoke { name, at } => {
                let store = at.open().await?;
                let revoked = async {
                    match store.revoke_token(&name).await? {
                        true => Ok(()),
                        false => usage(format!("{name} has no token")),
                    }
                };
                at.does(&store, Note::of(Deed::RevokeToken, &name), revoked).await?;
            }
        }
        Ok(Exit::Done)
    }
}
