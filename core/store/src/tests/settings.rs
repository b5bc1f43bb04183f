//! Every setting of the database connection, on the connections that the store really uses.

use super::world::{World, capture};
use crate::{
    StoreError,
    connection::{self, Access, Cipher, PageMac},
    database_key, keyset,
    layout::Layout,
    rows,
};
use rusqlite::{Connection, types::Value};
use snaptrak_domain::{KeyClass, Secret};

#[path = "../../../../tests/interop/judges.rs"]
mod judges;

/// An empty database under a raw key.
fn database() -> (tempfile::TempDir, std::path::PathBuf, Cipher) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    crate::layout::create_file(&path).unwrap();
    (folder, path, Cipher { key: Secret::new(vec![9; 32]), page_mac: PageMac::NEW })
}

fn pragma(connection: &Connection, name: &str) -> Value {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn every_pragma_has_the_value_that_was_asked_for() {
    let (_folder, path, cipher) = database();
    for access in [Access::Create, Access::Write, Access::Read] {
        let connection = connection::open(&path, &cipher, access).unwrap();
        let expected: [(&str, Value); 14] = [
            ("journal_mode", Value::Text("wal".into())),
            ("synchronous", Value::Integer(2)),
            ("fullfsync", Value::Integer(1)),
            ("checkpoint_fullfsync", Value::Integer(1)),
            ("foreign_keys", Value::Integer(1)),
            ("trusted_schema", Value::Integer(0)),
            ("cell_size_check", Value::Integer(1)),
            ("page_size", Value::Text("4096".into())),
            ("cipher_page_size", Value::Text("4096".into())),
            ("cipher_hmac_algorithm", Value::Text("HMAC_SHA256".into())),
            ("busy_timeout", Value::Integer(5_000)),
            ("query_only", Value::Integer(i64::from(access == Access::Read))),
            ("cache_size", Value::Integer(if access == Access::Read { -1_024 } else { -2_048 })),
            // Incremental, as it was made.
            ("auto_vacuum", Value::Integer(2)),
        ];
        for (name, value) in expected {
            assert_eq!(pragma(&connection, name), value, "{name}");
        }
        if access == Access::Create {
            connection.execute_batch("CREATE TABLE t (x)").unwrap();
        }
    }
}

#[test]
fn the_cipher_is_on() {
    let (_folder, path, cipher) = database();
    let connection = connection::open(&path, &cipher, Access::Write).unwrap();
    assert!(connection::cipher_version(&connection).unwrap().unwrap().starts_with("4."));
    assert_eq!(pragma(&connection, "cipher_provider"), Value::Text(snaptrak_cipher::PROVIDER.into()));
    assert_eq!(
        pragma(&connection, "cipher_provider_version"),
        Value::Text(snaptrak_cipher::PROVIDER_VERSION.into()),
        "the last entry of the provider's table: SQLCipher has the same table"
    );
    connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES ('canary-77')").unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() >= 4096 && !bytes.starts_with(b"SQLite format 3\0"));
    assert!(!bytes.windows(9).any(|window| window == b"canary-77"));
    drop(connection);
    let wrong = connection::open(&path, &Cipher { key: Secret::new(vec![8; 32]), ..cipher }, Access::Write);
    assert!(matches!(wrong, Err(StoreError::Damaged { what: "database" })));
}

/// The other way round is what [`super::versions`] holds: the first fixtures were written by SQLCipher on OpenSSL.
#[test]
fn sqlcipher_on_openssl_opens_our_database() {
    let world = World::new();
    let store = world.create();
    (0..100_u8).for_each(|byte| drop(capture(&store, &[byte])));
    store.close().unwrap();
    let layout = Layout::new(&world.path);
    let keyset = keyset::read(&layout, KeyClass::Background, world.key_store.as_ref()).unwrap();
    let cipher = database_key::find(&layout.database_key(), &keyset).unwrap().remove(0).cipher();
    assert_eq!(cipher.page_mac, PageMac::HmacSha256);
    let key: String = cipher.key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let database = serde_json::json!({"file": layout.database(), "key": key, "page_mac": "HMAC_SHA256"});
    std::fs::write(folder.path().join("database.json"), database.to_string()).unwrap();
    let verdict = judges::judge("judge_database.py", &[folder.path()]);
    assert!(verdict.clean, "{}", verdict.said);
    assert_eq!((&verdict.said["captures"], verdict.said["failures"].as_array()), (&100.into(), Some(&vec![])));
}

#[test]
fn a_plain_database_is_never_opened() {
    let (_folder, path, cipher) = database();
    let plain = Connection::open(&path).unwrap();
    plain.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(plain);
    let opened = connection::open(&path, &cipher, Access::Write);
    assert!(matches!(opened, Err(StoreError::Damaged { what: "database is not encrypted" })));
}

#[test]
fn a_spill_to_a_file_is_impossible() {
    let (_folder, path, cipher) = database();
    let connection = connection::open(&path, &cipher, Access::Write).unwrap();
    let compiled = rows::all(&connection, "PRAGMA compile_options", [], |row| Ok(row.get::<_, String>(0)?)).unwrap();
    assert!(compiled.iter().any(|option| option == "TEMP_STORE=3"), "{compiled:?}");
    for statement in ["PRAGMA temp_store = FILE", "PRAGMA temp_store_directory = '/tmp'"] {
        assert!(connection.execute_batch(statement).is_err(), "{statement}");
    }
    assert_eq!(pragma(&connection, "temp_store"), Value::Integer(2), "reading it is allowed");
}

#[test]
fn no_second_file_and_no_foreign_code() {
    let (_folder, path, cipher) = database();
    let connection = connection::open(&path, &cipher, Access::Write).unwrap();
    for statement in [
        "ATTACH DATABASE ':memory:' AS other",
        "ATTACH DATABASE '/tmp/plain.sqlite3' AS plain KEY ''",
        "DETACH DATABASE main",
        "SELECT load_extension('libm.so.6')",
        "SELECT sqlcipher_export('main')",
        "PRAGMA cipher_log_level = TRACE",
        "PRAGMA cipher_plaintext_header_size = 32",
    ] {
        assert!(connection.execute_batch(statement).is_err(), "{statement}");
    }
    // Vacuuming into a file attaches it.
    assert!(connection.execute_batch("VACUUM INTO '/tmp/copy.sqlite3'").is_err());
}

#[test]
fn both_kinds_of_connection_of_a_store_refuse_them_too() {
    let world = World::new();
    let store = world.create();
    capture(&store, b"x");
    let attach = "ATTACH DATABASE ':memory:' AS other";
    assert!(store.read(|connection| Ok(connection.execute_batch(attach)?)).is_err());
    assert!(store.write(move |transaction| Ok(transaction.execute_batch(attach)?)).is_err());
    let delete = store.read(|connection| Ok(connection.execute_batch("DELETE FROM step")?));
    assert!(delete.is_err(), "readers only read");
}
