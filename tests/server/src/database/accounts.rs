//! Rows of accounts.

use super::parsed;
use crate::error::Error;
use rusqlite::{OptionalExtension as _, Transaction, params};
use snaptrak_domain::{AccountId, OrganisationId, UnixMs};

/// Argon2id's output with what it was made with.
#[derive(Debug, Clone)]
pub(crate) struct PasswordRow {
    pub(crate) salt: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

/// An account as it is made.
pub(crate) struct AccountRow {
    pub(crate) id: AccountId,
    pub(crate) organisation_id: OrganisationId,
    pub(crate) email_digest: [u8; 32],
    pub(crate) email_sealed: Vec<u8>,
    pub(crate) name_sealed: Option<Vec<u8>>,
    pub(crate) password: PasswordRow,
}

/// Whether the account was made; `false` where the address has one already.
pub(crate) fn insert(transaction: &Transaction<'_>, row: &AccountRow, now: UnixMs) -> Result<bool, Error> {
    let inserted = transaction.execute(
        "INSERT INTO account (id, organisation_id, email_digest, email_sealed, name_sealed,
                              password_salt, password_sealed, password_memory_kib, password_passes, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (email_digest) DO NOTHING",
        params![
            row.id.to_string(),
            row.organisation_id.to_string(),
            row.email_digest,
            row.email_sealed,
            row.name_sealed,
            row.password.salt,
            row.password.sealed,
            row.password.memory_kib,
            row.password.passes,
            now.0
        ],
    )?;
    Ok(inserted == 1)
}

pub(crate) fn by_email(
    transaction: &Transaction<'_>,
    email_digest: &[u8; 32],
) -> Result<Option<(AccountId, PasswordRow)>, Error> {
    let row = transaction
        .prepare_cached(
            "SELECT id, password_salt, password_sealed, password_memory_kib, password_passes
             FROM account WHERE email_digest = ?1",
        )?
        .query_row([email_digest], |row| {
            let password = PasswordRow {
                salt: row.get("password_salt")?,
                sealed: row.get("password_sealed")?,
                memory_kib: row.get("password_memory_kib")?,
                passes: row.get("password_passes")?,
            };
            Ok((parsed(row, "id")?, password))
        })
        .optional()?;
    Ok(row)
}
