//! A replica of the ledger.

use std::sync::Arc;

use event_bus::{Context, Event, Failure, Handled, Handler};

use super::{Args, Ended, pause, sigterm};
use crate::bank::{Fate, LEDGER, LEDGER_TABLES, MoneyMoved};
use crate::journal::{Journal, Note};

/// Books each movement, once.
struct Ledger {
    journal: Arc<Journal>,
}

/// The ledger can't book it.
#[derive(Debug, thiserror::Error)]
#[error("{customer}'s movement {version} can't be booked")]
struct NotBooked {
    customer: String,
    version: i64,
}

pub async fn run(args: &Args) -> Ended {
    let service = args.service(LEDGER, LEDGER_TABLES).await?;
    let service = match &args.instance {
        Some(instance) => service.instance(instance.clone()),
        None => service,
    };
    let ledger = Ledger { journal: Arc::new(args.journal()) };
    Ok(service.on::<MoneyMoved>(ledger).run(sigterm()).await?)
}

impl Handler<MoneyMoved> for Ledger {
    async fn handle(&self, event: Event<MoneyMoved>, context: &mut Context<'_>) -> Handled {
        let id = event.id.to_string();
        self.journal.note(&Note::Handling(id.clone()));
        let MoneyMoved { customer, version, pence, fate, .. } = event.payload;
        let values = [(&customer).into(), version.into(), (&id).into(), pence.into()];
        context
            .tx()
            .execute(
                "INSERT INTO bookings (customer, version, event_id, pence) VALUES ($1, $2, $3, $4)",
                &values,
            )
            .await?;
        context
            .tx()
            .execute(
                "INSERT INTO accounts AS account (name, current, savings) VALUES ($1, -$2, $2)
                 ON CONFLICT (name) DO UPDATE
                 SET current = account.current - $2, savings = account.savings + $2",
                &[(&customer).into(), pence.into()],
            )
            .await?;
        pause(&self.journal, &id).await;
        // What can't be booked has written its effect: none of it may be seen.
        let not_booked = NotBooked { customer, version };
        match fate {
            Fate::Book => Ok(()),
            Fate::Fail => Err(not_booked.into()),
            Fate::Reject => Err(Failure::reject(not_booked)),
            Fate::Abort => {
                self.journal.note(&Note::Aborting(id));
                std::process::abort()
            }
        }
    }
}
