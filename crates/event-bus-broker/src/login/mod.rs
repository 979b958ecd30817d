//! Who somebody is: by SASL/SCRAM (RFC 5802), by a client's certificate, or by nothing where nobody has to tell.

mod scram;
mod session;
pub mod tls;
pub mod users;

pub(crate) use scram::Mechanism;
pub(crate) use session::{Session, Step};
