//! One database connection: the key, every setting with its reason, and what is refused from then on.
//!
//! Owns how SQLCipher is opened. Refuses to know tables. A connection that cannot be proven to encrypt is not handed out.

use crate::StoreError;
use rusqlite::{
    Connection, OpenFlags,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
};
use serde::{Deserialize, Serialize};
use snaptrak_domain::Secret;
use std::{fs::File, io::Read, path::Path, sync::Once, time::Duration};
use zeroize::Zeroizing;

/// Bytes of the database key: AES-256, given raw so that no passphrase is stretched at each opening (0.2 ms, not 200).
pub(crate) const DATABASE_KEY_BYTES: usize = 32;

/// What an unencrypted SQLite file begins with.
const PLAIN_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// Waiting for another connection of this process: only a checkpoint at closing holds readers off, and it is short.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that stay prepared: about as many as the crate has.
const PREPARED_STATEMENTS: usize = 128;

/// After a checkpoint the write-ahead log is cut to this, so that one large transaction does not hold room for ever.
const WAL_BYTES_KEPT: i64 = 4 * 1024 * 1024;

/// Pages that the writer keeps, in KiB: the upper pages of every tree with a million captures, and the leaves at which a burst
/// of captures appends.
const WRITER_CACHE_KIB: i64 = 2_048;

/// The same for each reader, of which four may be idle. A page of the list reads some 60 pages of the database, `show` a dozen;
/// with a million captures the rest of this holds the upper pages, and the leaves are read again from the file system's cache.
const READER_CACHE_KIB: i64 = 1_024;

/// The way to the file system for databases of one process, which the store's lock makes sure of: the index of the log lies in
/// memory instead of in a mapped file `-shm`. On a full disk a touch of such a mapping ends the process with SIGBUS.
const ONE_PROCESS: &str = "unix-excl";

/// What authenticates each page, in addition to what encrypts it. A property of the file from its first page on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageMac {
    /// SQLCipher's own choice, and that of every store up to schema 3.
    #[default]
    HmacSha512,
    /// What a new store takes: processors have instructions for it (phones for years, SHA-512 hardly any), and reading a page takes
    /// two thirds of the time.
    HmacSha256,
}

impl PageMac {
    /// For a database that is made now.
    pub(crate) const NEW: Self = Self::HmacSha256;

    fn pragma(self) -> &'static str {
        match self {
            Self::HmacSha512 => "HMAC_SHA512",
            Self::HmacSha256 => "HMAC_SHA256",
        }
    }
}

/// What opens a database.
#[derive(Debug, Clone)]
pub(crate) struct Cipher {
    pub(crate) key: Secret,
    pub(crate) page_mac: PageMac,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The one writer of a database that is still empty.
    Create,
    /// The one writer.
    Write,
    /// Any number of readers.
    Read,
}

/// Opens the database file, which exists (with the permissions that its `-wal` inherits), with its key.
///
/// Every statement here runs before any table is read; a wrong key shows at the first read of the caller as
/// [`StoreError::Damaged`], which is why the key's fingerprint is compared before this is called.
pub(crate) fn open(file: &Path, cipher: &Cipher, access: Access) -> Result<Connection, StoreError> {
    refuse_plain(file)?;
    // No CREATE: a missing file must be an error and not an empty database. No URI: a path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    prepare_library();
    let mut connection = Connection::open_with_flags_and_vfs(file, flags, ONE_PROCESS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    set_key(&connection, &cipher.key)?;
    check_cipher(&connection)?;
    settings(&connection, cipher.page_mac, access)?;
    connection.authorizer(Some(authorize))?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}

/// SQLite calls itself ready before SQLCipher has prepared what is its own, which it does on the thread that opened first: another
/// that opens at the same moment is refused its key. So the first opening of a process has nobody beside it.
fn prepare_library() {
    static ALONE: Once = Once::new();
    // If it fails, the opening that follows says so.
    ALONE.call_once(|| drop(Connection::open_in_memory()));
}

/// A file that begins like plain SQLite is no database of ours, and a build without a cipher would open it silently.
pub(crate) fn refuse_plain(file: &Path) -> Result<(), StoreError> {
    let mut header = [0_u8; 16];
    let mut opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::Damaged { what: "database missing" });
        }
        Err(error) => return Err(StoreError::io("open the database", error)),
    };
    match opened.read_exact(&mut header) {
        Ok(()) if &header == PLAIN_HEADER => Err(StoreError::Damaged { what: "database is not encrypted" }),
        Ok(()) => Ok(()),
        // A new, still empty file.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(StoreError::io("read the database", error)),
    }
}

fn set_key(connection: &Connection, key: &Secret) -> Result<(), StoreError> {
    // SQLCipher prints failures to standard error and to Android's log otherwise.
    connection.pragma_update(None, "cipher_log_level", "NONE")?;
    connection.pragma_update(None, "key", literal(key).as_str())?;
    Ok(())
}

/// Encrypts the whole database under another key, in one transaction.
pub(crate) fn rekey(connection: &Connection, key: &Secret) -> Result<(), StoreError> {
    Ok(connection.pragma_update(None, "rekey", literal(key).as_str())?)
}

/// Gives back the memory of the pages that a connection keeps; they are read again when they are needed.
pub(crate) fn trim(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch("PRAGMA shrink_memory")?)
}

/// `x'...'`: a raw key. Fewer digits would silently be taken for a passphrase.
fn literal(key: &Secret) -> Zeroizing<String> {
    assert_eq!(key.expose().len(), DATABASE_KEY_BYTES, "the database key is drawn with this length");
    let mut literal = Zeroizing::new(String::with_capacity(2 * DATABASE_KEY_BYTES + 3));
    literal.push_str("x'");
    for byte in key.expose() {
        for nibble in [byte >> 4, byte & 0x0f] {
            literal.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a hexadecimal digit"));
        }
    }
    literal.push('\'');
    literal
}

fn check_cipher(connection: &Connection) -> Result<(), StoreError> {
    // Plain SQLite ignores the unknown pragmas above and answers no row here.
    let version = cipher_version(connection)?;
    // SQLCipher asks for its primitives by their symbol alone; they are named here so that they are in the program.
    if version.is_some() && snaptrak_cipher::is_linked() { Ok(()) } else { Err(StoreError::NoCipher) }
}

/// SQLCipher's version, or `None` where the library is plain SQLite.
pub(crate) fn cipher_version(connection: &Connection) -> Result<Option<String>, StoreError> {
    use rusqlite::OptionalExtension;
    Ok(connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).optional()?)
}

fn settings(connection: &Connection, page_mac: PageMac, access: Access) -> Result<(), StoreError> {
    let set = |name: &str, value: &str| connection.pragma_update(None, name, value);
    // The parameters of SQLCipher 4 whatever a later library's defaults are: the file outlives the library.
    set("cipher_compatibility", "4")?;
    // Measured: 16 KiB pages are three times slower, since a page is encrypted whole.
    set("cipher_page_size", "4096")?;
    set("cipher_hmac_algorithm", page_mac.pragma())?;
    // Sorts and temporary tables stay in memory; a spill to /var/tmp would be plaintext. Also compiled in
    // (LIBSQLITE3_FLAGS); this line holds where someone builds without it, and the authorizer keeps it so.
    set("temp_store", "MEMORY")?;
    // What is committed survives a power cut: NORMAL lost hundreds of acknowledged rows in half of the trials.
    set("synchronous", "FULL")?;
    // Only on Apple does fsync not reach the medium; elsewhere these two do nothing.
    set("fullfsync", "ON")?;
    set("checkpoint_fullfsync", "ON")?;
    // Off by default in SQLite.
    set("foreign_keys", "ON")?;
    // A schema that was tampered with must not call functions, and a damaged cell must be an error where it is read.
    set("trusted_schema", "OFF")?;
    set("cell_size_check", "ON")?;
    // Memory a connection, whatever the library's default is. A cache is filled as pages are read, and no page is mapped:
    // what lies in the file is encrypted.
    let cache_kib = if access == Access::Read { READER_CACHE_KIB } else { WRITER_CACHE_KIB };
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    if access == Access::Create {
        // Only before the first page is written, so before the journal mode. Freed pages are given back in small batches by a
        // chore. A database of version 1 has none of this: it keeps and reuses its free pages, since only VACUUM could
        // change it, which copies the whole database through memory (`temp_store`) in one transaction of its own and
        // attaches a second one, which the authorizer denies.
        set("auto_vacuum", "INCREMENTAL")?;
    }
    // Readers see the last commit while the writer works. The pragma reads the file: the key is tried here.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Damaged { what: "database journal mode" });
    }
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    if access == Access::Read {
        set("query_only", "ON")?;
    }
    // No writing of the schema table and no shadow tables, whatever SQL runs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// Settings that must not change any more, since each of them can bring plaintext to a disk.
const PINNED_PRAGMAS: [&str; 5] =
    ["temp_store", "temp_store_directory", "cipher_log", "cipher_log_level", "cipher_plaintext_header_size"];

#[expect(clippy::wildcard_enum_match_arm, reason = "a list of what is denied; SQLite's enum is open")]
fn authorize(context: AuthContext<'_>) -> Authorization {
    let denied = match context.action {
        // A second file would not be under the key, and sqlcipher_export would fill it.
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => true,
        AuthAction::Function { function_name } => {
            function_name.eq_ignore_ascii_case("load_extension")
                || function_name.eq_ignore_ascii_case("sqlcipher_export")
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) } => {
            PINNED_PRAGMAS.iter().any(|pinned| pragma_name.eq_ignore_ascii_case(pinned))
        }
        _ => false,
    };
    if denied { Authorization::Deny } else { Authorization::Allow }
}
