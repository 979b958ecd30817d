//! A relay of the bank, in a process of its own: the service without its commands.

use super::{Args, Ended, sigterm};
use crate::bank::{BANK, BANK_TABLES};

pub async fn run(args: &Args) -> Ended {
    let service = args.service(BANK, BANK_TABLES).await?;
    Ok(service.run(sigterm()).await?)
}
