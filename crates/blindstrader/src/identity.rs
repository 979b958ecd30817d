//! Identity: who is on the platform. The only service that no event reaches; it acts on commands.

use event_bus::Context;
use event_bus::handler::EmitError;
use event_bus::names::{NameError, TenantId};
use event_bus::store::Migration;

use crate::events::{OrganisationCreated, OrganisationTerminated};
use crate::services::Subscriber;

pub(crate) const NAME: &str = "identity";

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::same(1, "organisations", include_str!("identity/0001.sql"))];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
}

/// An organisation that can't be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The id is taken, also by an organisation that left.
    #[error("the organisation {organisation_id} is registered already: choose another id")]
    AlreadyRegistered {
        /// The id that is taken.
        organisation_id: String,
    },
    /// The id can't be a tenant.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The event breaks the contract.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The database's.
    #[error("the registration could not be written")]
    Database(#[from] sqlx::Error),
}

/// An organisation that can't be terminated.
#[derive(Debug, thiserror::Error)]
pub enum TerminateError {
    /// It is not on the platform, or no longer.
    #[error("the organisation {organisation_id} is not on the platform")]
    NotActive {
        /// The id that is not registered or has left.
        organisation_id: String,
    },
    /// The id can't be a tenant.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The event breaks the contract.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The database's.
    #[error("the termination could not be written")]
    Database(#[from] sqlx::Error),
}

/// Registers an organisation and publishes that it was created.
///
/// # Errors
/// When its id is taken, when the event breaks its schema, or the database's.
pub async fn register_organisation(
    context: &mut Context<'_>,
    organisation: &OrganisationCreated,
) -> Result<(), RegisterError> {
    let id = &organisation.organisation_id;
    let sql = "INSERT INTO organisations
                   (organisation_id, kind, name, country, contact_name, contact_email, status)
               VALUES ($1, $2, $3, $4, $5, $6, 'active')
               ON CONFLICT (organisation_id) DO NOTHING";
    let values = [
        id.into(),
        organisation.kind.as_str().into(),
        (&organisation.name).into(),
        (&organisation.country).into(),
        (&organisation.contact.name).into(),
        (&organisation.contact.email).into(),
    ];
    if context.tx().execute(sql, &values).await? == 0 {
        return Err(RegisterError::AlreadyRegistered { organisation_id: id.clone() });
    }
    for partner in &organisation.trades_with {
        let sql = "INSERT INTO trading (organisation_id, partner_id) VALUES ($1, $2)
                   ON CONFLICT (organisation_id, partner_id) DO NOTHING";
        context.tx().execute(sql, &[id.into(), partner.into()]).await?;
    }
    context.emit(&TenantId::new(id)?, organisation)?;
    Ok(())
}

/// Takes an organisation off the platform and publishes that.
///
/// # Errors
/// When it is not on the platform, when the event breaks its schema, or the database's.
pub async fn terminate_organisation(
    context: &mut Context<'_>,
    termination: &OrganisationTerminated,
) -> Result<(), TerminateError> {
    let id = &termination.organisation_id;
    let sql = "UPDATE organisations SET status = 'terminated', terminated_on = $2, termination_reason = $3
               WHERE organisation_id = $1 AND status = 'active'";
    let effective_on = termination.effective_on.to_string();
    let values = [id.into(), effective_on.into(), (&termination.reason).into()];
    if context.tx().execute(sql, &values).await? == 0 {
        return Err(TerminateError::NotActive { organisation_id: id.clone() });
    }
    context.emit(&TenantId::new(id)?, termination)?;
    Ok(())
}
