//! The schema and its ladder: numbered files, whose number is the schema version.
//!
//! Owns which version this build knows. The whole ladder runs in one IMMEDIATE transaction, so a kill leaves the old schema
//! or the new one. A newer schema is its own answer, and nothing is touched.

use crate::StoreError;
use rusqlite::{Batch, Connection, TransactionBehavior, fallible_iterator::FallibleIterator};

/// One step of the ladder. A shipped file never changes; a test holds the checksum of each.
pub(crate) struct Migration {
    /// The file.
    pub(crate) sql: &'static str,
    /// SHA-256 of the file, lowercase hexadecimal.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the test that holds the files compares it"))]
    pub(crate) sha256: &'static str,
}

/// From version 1; the place in the list is the version less one.
pub(crate) const LADDER: &[Migration] = &[
    Migration {
        sql: include_str!("migrations/0001_first_light.sql"),
        sha256: "6007ee101f2cf666debdb00eccfb5ee88bfc7083ba90f273e93083b4a7f7f5f5",
    },
    Migration {
        sql: include_str!("migrations/0002_never_lost.sql"),
        sha256: "4379bda64dd0d6ce2a1b4f9f174a1d5d7928525b6c2defa298b537223d172f1d",
    },
    Migration {
        sql: include_str!("migrations/0003_listed.sql"),
        sha256: "ddb9aff6476b294292d83acadf6ee7bfbdbcde3d5df7727bd4d0f7b339ea0e1e",
    },
    Migration {
        sql: include_str!("migrations/0004_list_lines.sql"),
        sha256: "460af961596165ae36dc565b6516803784628b3c7c0fba5a3750c849d3d52016",
    },
];

/// The newest schema that this build knows.
pub(crate) const NEWEST: u64 = LADDER.len() as u64;

/// The schema version of an open database.
pub(crate) fn version(connection: &Connection) -> Result<u64, StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    u64::try_from(version).map_err(|_| StoreError::Damaged { what: "schema version" })
}

/// Brings the schema to [`NEWEST`].
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_in_statements(connection, &mut || {})
}

/// `reached` is called after every statement, before the commit and after it: wherever a kill would leave another state.
pub(crate) fn migrate_in_statements(connection: &mut Connection, reached: &mut dyn FnMut()) -> Result<(), StoreError> {
    if version(connection)? == NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the lock: the answer above was only a reason to take it.
    let found = version(&transaction)?;
    if found > NEWEST {
        return Err(StoreError::NewerSchema { found, known: NEWEST });
    }
    let done = usize::try_from(found).expect("no more than the ladder's length, checked above");
    for migration in &LADDER[done..] {
        let mut statements = Batch::new(&transaction, migration.sql);
        while let Some(mut statement) = statements.next()? {
            statement.raw_execute()?;
            reached();
        }
    }
    let newest = i64::try_from(NEWEST).expect("the ladder has few steps");
    transaction.pragma_update(None, "user_version", newest)?;
    reached();
    transaction.commit()?;
    reached();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_files_never_change() {
        for (index, migration) in LADDER.iter().enumerate() {
            let digest = snaptrak_seal::sha256(migration.sql.as_bytes()).to_string();
            assert_eq!(digest, migration.sha256, "migration {}", index + 1);
        }
    }
}
