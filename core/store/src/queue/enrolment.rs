//! Who this device works for: the one row of `enrolment`, and why nothing can be sent at all.

use super::sealed_fields;
use crate::{
    StoreError,
    journal::{Base64, Entry},
    rows, setting,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use snaptrak_domain::{
    AccountId, DeviceId, OrganisationId, Reason, Secret, Sha256Digest, UnixMs,
    queue_store::{Enrolment, Tokens},
};

/// What the seal of the tokens is bound to.
pub(crate) const TOKENS_PURPOSE: &str = "snaptrak.tokens/1";

/// Name of the setting that says that the app gives the tokens. No column: an older version takes such a store for signed out.
const SESSION_IS_PROVIDED: &str = "session_is_provided";

/// Name of the setting that says why nothing can be sent at all.
const SYNC_BLOCK: &str = "sync_block";

/// The enrolment, if there is one.
pub(crate) fn load(connection: &Connection) -> Result<Option<Enrolment>, StoreError> {
    rows::first(
        connection,
        "SELECT server, account_id, organisation_id, device_id, trust_root, trust_root_given FROM enrolment",
        [],
        |row| {
            Ok(Enrolment {
                server: row.get(0)?,
                account_id: AccountId::from_bytes(row.get(1)?),
                organisation_id: OrganisationId::from_bytes(row.get(2)?),
                device_id: DeviceId::from_bytes(row.get(3)?),
                trust_root: rows::digest(row, 4)?,
                trust_root_given: row.get(5)?,
            })
        },
    )
}

/// Whether someone has enrolled this device.
pub(crate) fn exists(connection: &Connection) -> Result<bool, StoreError> {
    Ok(load(connection)?.is_some())
}

/// Writes the enrolment. The session of another account or server goes: it would speak for someone else.
pub(crate) fn save(connection: &Connection, enrolment: &Enrolment, bundle: &[u8]) -> Result<(), StoreError> {
    let known = load(connection)?;
    if !known.is_some_and(|known| known.server == enrolment.server && known.account_id == enrolment.account_id) {
        setting::write::<bool>(connection, SESSION_IS_PROVIDED, None)?;
    }
    rows::change(
        connection,
        "INSERT INTO enrolment (id, server, account_id, organisation_id, device_id, trust_root, trust_root_given, trust_bundle)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET
             tokens = CASE WHEN server = excluded.server AND account_id = excluded.account_id THEN tokens END,
             server = excluded.server, account_id = excluded.account_id, organisation_id = excluded.organisation_id,
             device_id = excluded.device_id, trust_root = excluded.trust_root,
             trust_root_given = excluded.trust_root_given, trust_bundle = excluded.trust_bundle",
        params![
            enrolment.server,
            enrolment.account_id.as_bytes(),
            enrolment.organisation_id.as_bytes(),
            enrolment.device_id.as_bytes(),
            enrolment.trust_root.as_bytes(),
            enrolment.trust_root_given,
            bundle,
        ],
    )
    .map(|_| ())
}

/// The exact bytes of the trust bundle.
pub(crate) fn bundle(connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    rows::first(connection, "SELECT trust_bundle FROM enrolment", [], |row| Ok(row.get(0)?))
}

/// The journal's entry of the enrolment as its row stands.
pub(crate) fn entry(connection: &Connection) -> Result<Entry, StoreError> {
    const MISSING: StoreError = StoreError::Missing { what: "enrolment" };
    let enrolment = load(connection)?.ok_or(MISSING)?;
    Ok(Entry::Enrolment {
        server: enrolment.server,
        account_id: enrolment.account_id,
        organisation_id: enrolment.organisation_id,
        device_id: enrolment.device_id,
        trust_root: enrolment.trust_root,
        trust_root_given: enrolment.trust_root_given,
        trust_bundle: Base64(bundle(connection)?.ok_or(MISSING)?),
    })
}

/// Replaces the trust bundle and its root.
pub(crate) fn save_bundle(connection: &Connection, bundle: &[u8], root: Sha256Digest) -> Result<(), StoreError> {
    let sql = "UPDATE enrolment SET trust_bundle = ?1, trust_root = ?2";
    of_one(rows::change(connection, sql, params![bundle, root.as_bytes()])?)
}

fn of_one(changed: usize) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Missing { what: "enrolment" }) }
}

/// Tokens as one secret.
pub(crate) fn join_tokens(tokens: &Tokens) -> Result<Secret, StoreError> {
    let expires = sealed_fields::time_field(tokens.access_expires);
    sealed_fields::join(&[tokens.access.expose(), &expires, tokens.refresh.expose()])
}

/// The tokens in a secret that [`join_tokens`] made.
pub(crate) fn split_tokens(joined: &Secret) -> Result<Tokens, StoreError> {
    let [access, expires, refresh] = sealed_fields::split::<3>(joined)?;
    Ok(Tokens { access, access_expires: sealed_fields::time_of(&expires)?, refresh })
}

/// A session as it is written.
pub(crate) enum SessionRow {
    /// Tokens of its own, sealed.
    SealedTokens(Vec<u8>),
    /// The app gives the tokens.
    Provided,
}

/// The session.
pub(crate) fn session(connection: &Connection) -> Result<Option<SessionRow>, StoreError> {
    let sql = "SELECT tokens, EXISTS (SELECT 1 FROM setting WHERE name = ?1) FROM enrolment";
    let row = rows::first(connection, sql, [SESSION_IS_PROVIDED], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match row {
        Some((Some(sealed), _)) => Some(SessionRow::SealedTokens(sealed)),
        Some((None, true)) => Some(SessionRow::Provided),
        Some((None, false)) | None => None,
    })
}

/// Writes the session; `None` signs out. Signing out without an enrolment has nothing to do.
pub(crate) fn save_session(connection: &Connection, session: Option<&SessionRow>) -> Result<(), StoreError> {
    let (sealed, provided) = match session {
        None => (None, None),
        Some(SessionRow::SealedTokens(sealed)) => (Some(sealed.as_slice()), None),
        Some(SessionRow::Provided) => (None, Some(true)),
    };
    setting::write(connection, SESSION_IS_PROVIDED, provided.as_ref())?;
    let changed = rows::change(connection, "UPDATE enrolment SET tokens = ?1", [sealed])?;
    if session.is_none() { Ok(()) } else { of_one(changed) }
}

/// Why nothing can be sent at all, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncBlock {
    pub(crate) reason: Reason,
    pub(crate) since_ms: UnixMs,
}

/// The block, if there is one.
pub(crate) fn sync_block(connection: &Connection) -> Result<Option<SyncBlock>, StoreError> {
    setting::read(connection, SYNC_BLOCK)
}

/// Writes or clears the block. The same code again keeps its beginning.
pub(crate) fn save_sync_block(connection: &Connection, reason: Option<&Reason>, now: UnixMs) -> Result<(), StoreError> {
    let Some(reason) = reason else { return setting::write::<SyncBlock>(connection, SYNC_BLOCK, None) };
    let known = sync_block(connection)?.filter(|block| block.reason.code == reason.code);
    let since_ms = known.map_or(now, |block| block.since_ms);
    setting::write(connection, SYNC_BLOCK, Some(&SyncBlock { reason: reason.clone(), since_ms }))
}
