//! A store as a newer version would leave it: the schema version raised, with nothing but the passphrase and the formats'
//! description (keyset: core/seal; passphrase: bindings/cli; database: SQLCipher 4 with a raw key).

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{aead, hkdf};
use serde_json::Value;
use std::{fs, path::Path};

const CLASS: &str = "background";

/// Raises the database's `user_version` by one and returns what it was.
pub fn raise_schema_version(store: &Path, passphrase: &str) -> u32 {
    let keys = open_keyset(&store.join("keyset").join(CLASS).with_extension("json"), passphrase);
    let keys = keys["keys"].as_array().unwrap();
    let database = keys.iter().find(|key| key["role"] == "database").unwrap();
    let key: String = bytes(&database["key"]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(snaptrak_cipher::is_linked(), "SQLCipher asks for it by its symbol alone");
    let connection = rusqlite::Connection::open(store.join("database/store.sqlite3")).unwrap();
    connection.pragma_update(None, "key", format!("x'{key}'")).unwrap();
    let named: Value = serde_json::from_slice(&fs::read(store.join("database/key.json")).unwrap()).unwrap();
    if named["page_mac"] == "hmac_sha256" {
        connection.pragma_update(None, "cipher_hmac_algorithm", "HMAC_SHA256").unwrap();
    }
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", version + 1).unwrap();
    version
}

fn open_keyset(file: &Path, passphrase: &str) -> Value {
    let file: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let parameters = &file["key_store"];
    let cost = |name: &str| u32::try_from(parameters[name].as_u64().unwrap()).unwrap();
    let costs = Params::new(cost("m_kib"), cost("t"), cost("p"), Some(32)).unwrap();
    let mut root = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
        .hash_password_into(passphrase.as_bytes(), &bytes(&parameters["salt"]), &mut root)
        .unwrap();
    let mut key = [0; 32];
    let root = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &root);
    root.expand(&[b"snaptrak.passphrase/1 wrap"], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    let generation = file["generation"].as_u64().unwrap().to_be_bytes();
    let associated_data = [b"snaptrak.keyset/1", CLASS.as_bytes(), &generation].concat();
    let nonce = aead::Nonce::try_assume_unique_for_key(&bytes(&parameters["nonce"])).unwrap();
    let mut sealed = bytes(&file["sealed"]);
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap());
    let plain = key.open_in_place(nonce, aead::Aad::from(associated_data), &mut sealed).unwrap();
    serde_json::from_slice(plain).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}
