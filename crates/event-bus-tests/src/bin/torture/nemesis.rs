//! Carries out a plan, and looks whether each fault bit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock;
use crate::history::Id;
use crate::journal::{Note, open_transactions};
use crate::node::Role;
use crate::nodes::Node;
use crate::plan::{Fault, Link, Member, Server, Step};
use crate::proxy::Proxy;
use crate::reading::{OUTBOX, bookings, number};
use crate::world::World;

/// How much longer a message takes over a slow connection.
const DELAY: Duration = Duration::from_millis(40);
/// How long it may take until all connections are broken.
const BREAKS_WITHIN: Duration = Duration::from_millis(200);
/// How long a fault may wait for the best moment.
const AIM: Duration = Duration::from_secs(2);
const AIM_LOOK: Duration = Duration::from_millis(1);
/// So many of the last events that a killed replica began are looked for in the inbox.
const LAST_EVENTS: usize = 50;

/// Times that partitions were taken over.
const TAKEN_OVER: &str =
    "SELECT CAST(coalesce(sum(token), 0) AS bigint) AS number FROM partition_owners";
/// Times that relays took the lease over.
const LEASES: &str = "SELECT CAST(coalesce(sum(token), 0) AS bigint) AS number FROM outbox_lease";

/// The moment in which a process is killed or stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Aim {
    /// In the midst of a transaction.
    Inside,
    /// Behind a transaction whose events are not in the inbox.
    Behind,
}

impl World {
    /// All steps of the plan, each at its time. Returns once nothing is broken any more.
    pub async fn nemesis(self: Arc<Self>) {
        let start = Instant::now();
        let mut faults = JoinSet::new();
        for step in self.plan.steps.clone() {
            let world = Arc::clone(&self);
            faults.spawn(async move {
                clock::pass(step.at.saturating_sub(start.elapsed())).await;
                let has_bitten = world.strike(step).await;
                world.bites.came(step.kind, has_bitten);
            });
        }
        while let Some(struck) = faults.join_next().await {
            struck.expect("a fault is carried out");
        }
        let taken_over = number(&self.ledger, TAKEN_OVER).await.unwrap_or(0);
        let changed_hands = taken_over - i64::from(crate::bank::PARTITIONS);
        self.bites
            .note("a partition that changed hands", u64::try_from(changed_hands).unwrap_or(0));
    }

    /// Does what the step says, undoes it after its time, and says whether anybody noticed.
    async fn strike(&self, step: Step) -> bool {
        match step.fault {
            Fault::Kill(member) => self.kill(&self.nodes[&member], step.lasts).await,
            Fault::Freeze(member) => self.freeze(&self.nodes[&member], step.lasts).await,
            Fault::Leave(member) => self.leave(&self.nodes[&member], step.lasts).await,
            Fault::Crash(server) => self.server_goes_away(server, step.lasts, true).await,
            Fault::Restart(server) => self.server_goes_away(server, step.lasts, false).await,
            Fault::Cut(link) => {
                let proxy = self.proxy(link);
                is_asked(&[proxy]).await;
                let before = proxy.tally.cut_with_a_request_open.load(Ordering::Relaxed);
                proxy.cut();
                clock::pass(step.lasts).await;
                proxy.heal();
                proxy.tally.cut_with_a_request_open.load(Ordering::Relaxed) > before
            }
            Fault::Delay(link) => {
                let proxy = self.proxy(link);
                let before = proxy.tally.delayed.load(Ordering::Relaxed);
                proxy.delay(DELAY);
                clock::pass(step.lasts).await;
                proxy.heal();
                proxy.tally.delayed.load(Ordering::Relaxed) > before
            }
            Fault::Hold(link) => {
                let proxy = self.proxy(link);
                let before = proxy.tally.held.load(Ordering::Relaxed);
                proxy.hold();
                clock::pass(step.lasts).await;
                proxy.heal();
                proxy.tally.held.load(Ordering::Relaxed) > before
            }
            Fault::Swallow(link) => {
                let proxy = self.proxy(link);
                let before = proxy.tally.swallowed.load(Ordering::Relaxed);
                proxy.hold();
                clock::pass(step.lasts).await;
                proxy.cut();
                // What is held must not slip through before its connection is broken.
                clock::pass(BREAKS_WITHIN).await;
                proxy.heal();
                proxy.tally.swallowed.load(Ordering::Relaxed) > before
            }
        }
    }

    fn proxy(&self, link: Link) -> &Proxy {
        match link {
            Link::Broker => &self.broker_proxy,
            Link::Database(member) => &self.database_proxies[&member],
        }
    }

    /// Whether the process died in the midst of something.
    async fn kill(&self, node: &Node, absent: Duration) -> bool {
        let mut state = node.lock().await;
        self.comes_to_work(node).await;
        let was_running = state.is_running();
        state.kill().await;
        let has_bitten = was_running && self.was_at_work(node).await;
        clock::pass(absent).await;
        node.start_in(&mut state).expect("a node can be started again");
        has_bitten
    }

    /// Waits for a moment in which a death hurts, but not for long: the node may have nothing to do.
    async fn comes_to_work(&self, node: &Node) {
        let pauses =
            |notes: &[Note]| notes.iter().filter(|note| matches!(note, Note::Pausing(_))).count();
        let before = pauses(&node.notes());
        let start = Instant::now();
        while start.elapsed() < AIM {
            let notes = node.notes();
            let is_there = match self.shape.aim {
                Aim::Inside => open_transactions(&notes) > 0 || pauses(&notes) > before,
                Aim::Behind => self.has_effects_only(&notes).await.unwrap_or(false),
            };
            if is_there {
                return;
            }
            clock::pass(AIM_LOOK).await;
        }
    }

    async fn was_at_work(&self, node: &Node) -> bool {
        let notes = node.notes();
        match node.member.role {
            Role::Writer => open_transactions(&notes) > 0,
            // What it was to send, or sent and did not remove, is somebody else's now.
            Role::Relay => number(&self.bank, OUTBOX).await.is_ok_and(|rows| rows > 0),
            Role::Consumer => {
                let begun: BTreeSet<Id> = last_begun(&notes).collect();
                self.inbox().await.is_ok_and(|inbox| !begun.is_subset(&inbox))
            }
        }
    }

    /// Whether one of the last events that a replica began has its effect and is not in the inbox.
    async fn has_effects_only(&self, notes: &[Note]) -> Result<bool, sqlx::Error> {
        // The inbox is read last: it has every effect that was whole when the effects were read.
        let booked: BTreeSet<Id> =
            bookings(&self.ledger).await?.into_iter().map(|booking| booking.id).collect();
        let inbox = self.inbox().await?;
        Ok(last_begun(notes).any(|id| booked.contains(&id) && !inbox.contains(&id)))
    }

    /// Whether others took over what the process held when it stood still.
    async fn freeze(&self, node: &Node, lasts: Duration) -> bool {
        let state = node.lock().await;
        self.comes_to_work(node).await;
        let before = self.taken_from(node.member).await;
        state.signal("STOP").await;
        clock::pass(lasts).await;
        let has_bitten = match node.member.role {
            Role::Writer => open_transactions(&node.notes()) > 0,
            Role::Relay | Role::Consumer => {
                matches!((before, self.taken_from(node.member).await), (Some(before), Some(after)) if after > before)
            }
        };
        state.signal("CONT").await;
        if node.member.role == Role::Relay {
            self.bites.note("a relay's lease that was taken over", u64::from(has_bitten));
        }
        has_bitten
    }

    /// How often something was taken over that such a node may hold.
    async fn taken_from(&self, member: Member) -> Option<i64> {
        match member.role {
            Role::Writer => None,
            Role::Relay => number(&self.bank, LEASES).await.ok(),
            Role::Consumer => number(&self.ledger, TAKEN_OVER).await.ok(),
        }
    }

    /// Whether a replica was there to leave.
    async fn leave(&self, node: &Node, absent: Duration) -> bool {
        let mut state = node.lock().await;
        let was_running = state.is_running();
        let in_time = state.stop().await;
        clock::pass(absent).await;
        node.start_in(&mut state).expect("a node can be started again");
        was_running && in_time
    }

    /// Whether requests were open when the server went.
    async fn server_goes_away(&self, server: Server, absent: Duration, crashes: bool) -> bool {
        let before = self.lost_by(server);
        match server {
            Server::Broker => {
                let mut broker = self.broker.lock().await;
                is_asked(&[&self.broker_proxy]).await;
                let gone = if crashes { broker.crash().await } else { broker.stop().await };
                gone.expect("the broker can be ended");
                clock::pass(absent).await;
                broker.start().await.expect("the broker starts where it was");
            }
            Server::Database => {
                let mut database = self.database.lock().await;
                let database = database.server.as_mut().expect("a plan has it where there is one");
                is_asked(&self.database_proxies.values().collect::<Vec<_>>()).await;
                let gone = if crashes { database.crash().await } else { database.stop().await };
                gone.expect("the database can be ended");
                clock::pass(absent).await;
                database.start().await.expect("the database starts where it was");
            }
        }
        self.lost_by(server) > before
    }

    fn lost_by(&self, server: Server) -> u64 {
        let lost = |proxy: &Proxy| proxy.tally.lost_with_a_request_open.load(Ordering::Relaxed);
        match server {
            Server::Broker => lost(&self.broker_proxy),
            Server::Database => self.database_proxies.values().map(lost).sum(),
        }
    }
}

/// Waits until a request is open over one of these, but not for long: there may be nothing to ask.
async fn is_asked(proxies: &[&Proxy]) {
    let start = Instant::now();
    while start.elapsed() < AIM
        && proxies.iter().all(|proxy| proxy.tally.open.load(Ordering::Relaxed) == 0)
    {
        clock::pass(AIM_LOOK).await;
    }
}

/// The last events that a replica began, the latest first.
fn last_begun(notes: &[Note]) -> impl Iterator<Item = Id> {
    let begun = notes.iter().rev().filter_map(|note| match note {
        Note::Handling(id) => Some(id.clone()),
        _ => None,
    });
    begun.take(LAST_EVENTS)
}
