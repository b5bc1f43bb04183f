//! Rows of sessions and their tokens. A token is stored as its digest only, and found by it: the comparison that an
//! attacker could time is one of digests, which say nothing about the token.

use super::parsed;
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{AccountId, OrganisationId, UnixMs};
use uuid::Uuid;

/// Refresh tokens of one generation that a session keeps: each lost answer to a refresh leaves one behind.
const SIBLINGS_MAX: u32 = 8;

/// Access tokens of one session that are kept while they last: one for each refresh, lost answers included.
const ACCESS_TOKENS_MAX: u32 = 16;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account_id: AccountId,
    pub(crate) organisation_id: OrganisationId,
    pub(crate) session_id: Uuid,
}

/// Digests and expiries of a fresh pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTokens {
    pub(crate) access_digest: [u8; 32],
    pub(crate) access_expires_ms: UnixMs,
    pub(crate) refresh_digest: [u8; 32],
    pub(crate) refresh_expires_ms: UnixMs,
}

/// Whose session was refreshed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refreshed {
    pub(crate) account_id: AccountId,
    pub(crate) organisation_id: OrganisationId,
}

pub(crate) fn begin(
    transaction: &Transaction<'_>,
    session_id: Uuid,
    account_id: AccountId,
    tokens: &NewTokens,
    now: UnixMs,
) -> Result<OrganisationId, Error> {
    transaction.execute(
        "INSERT INTO session (id, account_id, created_ms) VALUES (?1, ?2, ?3)",
        params![session_id.to_string(), account_id.to_string(), now.0],
    )?;
    insert_tokens(transaction, session_id, 1, tokens, now)?;
    transaction.execute(
        "DELETE FROM session WHERE id IN (SELECT session.id FROM session WHERE account_id = ?1
           AND NOT EXISTS (SELECT 1 FROM refresh_token WHERE session_id = session.id AND expires_ms > ?2))",
        params![account_id.to_string(), now.0],
    )?;
    Ok(transaction.query_row("SELECT organisation_id FROM account WHERE id = ?1", [account_id.to_string()], |row| {
        parsed(row, "organisation_id")
    })?)
}

/// Who holds this access token, if it has not expired.
pub(crate) fn caller(
    transaction: &Transaction<'_>,
    access_digest: &[u8; 32],
    now: UnixMs,
) -> Result<Option<Caller>, Error> {
    let caller = transaction
        .prepare_cached(
            "SELECT account.id AS account_id, account.organisation_id AS organisation_id, session_id
             FROM access_token JOIN session ON session.id = session_id JOIN account ON account.id = session.account_id
             WHERE digest = ?1 AND expires_ms > ?2",
        )?
        .query_row(params![access_digest, now.0], |row| {
            Ok(Caller {
                account_id: parsed(row, "account_id")?,
                organisation_id: parsed(row, "organisation_id")?,
                session_id: parsed(row, "session_id")?,
            })
        })
        .optional()?;
    Ok(caller)
}

/// Replaces a refresh token. The one that was used stays valid until one of its successors is used, so that an answer that
/// never arrived signs nobody out; using a successor ends its predecessors and its siblings.
pub(crate) fn refresh(
    transaction: &Transaction<'_>,
    used_digest: &[u8; 32],
    tokens: &NewTokens,
    now: UnixMs,
) -> Result<Option<Refreshed>, Error> {
    let found = transaction
        .prepare_cached(
            "SELECT session_id, generation, account.id AS account_id, account.organisation_id AS organisation_id
             FROM refresh_token JOIN session ON session.id = session_id JOIN account ON account.id = session.account_id
             WHERE digest = ?1 AND expires_ms > ?2",
        )?
        .query_row(params![used_digest, now.0], |row| {
            let refreshed =
                Refreshed { account_id: parsed(row, "account_id")?, organisation_id: parsed(row, "organisation_id")? };
            Ok((parsed::<Uuid>(row, "session_id")?, row.get::<_, i64>("generation")?, refreshed))
        })
        .optional()?;
    let Some((session_id, generation, refreshed)) = found else { return Ok(None) };
    transaction.execute(
        "DELETE FROM refresh_token WHERE session_id = ?1 AND generation <= ?2 AND digest <> ?3",
        params![session_id.to_string(), generation, used_digest],
    )?;
    insert_tokens(transaction, session_id, generation + 1, tokens, now)?;
    Ok(Some(refreshed))
}

/// Signs out: every token of the session goes with it.
pub(crate) fn end(transaction: &Transaction<'_>, session_id: Uuid) -> Result<(), Error> {
    transaction.execute("DELETE FROM session WHERE id = ?1", [session_id.to_string()])?;
    Ok(())
}

fn insert_tokens(
    transaction: &Transaction<'_>,
    session_id: Uuid,
    generation: i64,
    tokens: &NewTokens,
    now: UnixMs,
) -> Result<(), Error> {
    let session = session_id.to_string();
    transaction.execute(
        "INSERT INTO access_token (digest, session_id, expires_ms) VALUES (?1, ?2, ?3)",
        params![tokens.access_digest, session, tokens.access_expires_ms.0],
    )?;
    transaction.execute(
        "INSERT INTO refresh_token (digest, session_id, generation, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![tokens.refresh_digest, session, generation, now.0, tokens.refresh_expires_ms.0],
    )?;
    transaction.execute(
        "DELETE FROM access_token WHERE session_id = ?1 AND (expires_ms <= ?2 OR digest NOT IN (SELECT digest FROM
           access_token WHERE session_id = ?1 ORDER BY expires_ms DESC LIMIT ?3))",
        params![session, now.0, ACCESS_TOKENS_MAX],
    )?;
    transaction.execute(
        "DELETE FROM refresh_token WHERE session_id = ?1 AND generation = ?2 AND digest NOT IN (SELECT digest FROM
           refresh_token WHERE session_id = ?1 AND generation = ?2 ORDER BY created_ms DESC LIMIT ?3)",
        params![session, generation, SIBLINGS_MAX],
    )?;
    Ok(())
}
