#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod primitives;
#[expect(unsafe_code, reason = "SQLCipher's interface is pointers and lengths")]
mod provider;

/// What `PRAGMA cipher_provider` answers.
pub const PROVIDER: &str = "snaptrak";

/// What `PRAGMA cipher_provider_version` answers: the last entry of the provider's table, so that it is wrong where a later
/// SQLCipher has another table.
pub const PROVIDER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Keeps this crate in a program that uses nothing else of it: a linker that reads each library once would leave it out before it
/// comes to SQLite.
pub fn is_linked() -> bool {
    provider::snaptrak_sqlcipher_provider as *const () as usize != 0
}
