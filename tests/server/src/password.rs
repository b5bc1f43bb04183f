//! Passwords: Argon2id on threads for blocking work, a few at a time.
//!
//! Owns the parameters and the bound on memory: each hash takes 19 MiB, so the number that run side by side is what bounds
//! a flood of sign-ins. Callers beyond the bound wait; beyond a bound on waiting they are told to come back.

use crate::at_rest::AtRest;
use crate::database::PasswordRow;
use crate::edge::OsRandom;
use crate::error::Error;
use argon2::{Algorithm, Argon2, Params, Version};
use snaptrak_domain::{Random as _, Secret};
use std::sync::Arc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// OWASP's second choice for Argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// Hashes side by side: 76 MiB, and cores are left for uploads.
const HASHES_MAX: usize = 4;

/// Callers that may wait for a hash: at 50 ms each and four at a time the last waits under a second.
const WAITING_MAX: usize = 64;

const COLUMN: &str = "account.password";

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Too many sign-ins at once.
#[derive(Debug)]
pub(crate) struct Busy;

/// What a password check came to, or why there was none.
#[derive(Debug)]
pub(crate) enum PasswordError {
    Busy(Busy),
    Failed(Error),
}

impl From<Error> for PasswordError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(HASHES_MAX)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    /// Hashes a new password; `row` is the account's id, to which the stored value is bound.
    pub(crate) async fn make(
        &self,
        password: Secret,
        at_rest: Arc<AtRest>,
        row: String,
    ) -> Result<PasswordRow, PasswordError> {
        self.run(move || {
            let mut salt = vec![0; SALT_BYTES];
            OsRandom.fill(&mut salt)?;
            let output = hash(&password, &salt, MEMORY_KIB, PASSES)?;
            let sealed = at_rest.seal(COLUMN, row.as_bytes(), output.as_slice(), &OsRandom)?;
            Ok(PasswordRow { salt, sealed, memory_kib: MEMORY_KIB, passes: PASSES })
        })
        .await
    }

    /// Checks a password. Without a stored one the same work is done, so that the time taken does not tell whether an
    /// address has an account.
    pub(crate) async fn check(
        &self,
        password: Secret,
        stored: Option<(String, PasswordRow)>,
        at_rest: Arc<AtRest>,
    ) -> Result<bool, PasswordError> {
        self.run(move || {
            let Some((row, stored)) = stored else {
                hash(&password, &[0; SALT_BYTES], MEMORY_KIB, PASSES)?;
                return Ok(false);
            };
            let output = hash(&password, &stored.salt, stored.memory_kib, stored.passes)?;
            let expected = at_rest.open(COLUMN, row.as_bytes(), &stored.sealed)?;
            let difference = output.iter().zip(expected.iter()).fold(0, |sum, (left, right)| sum | (left ^ right));
            Ok(expected.len() == OUTPUT_BYTES && difference == 0)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = self.waiting.try_acquire().map_err(|_| PasswordError::Busy(Busy))?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| Error::ThreadEnded)?;
        drop(waiting);
        let answer = tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        });
        Ok(answer.await.map_err(|_| Error::ThreadEnded)??)
    }
}

fn hash(password: &Secret, salt: &[u8], memory_kib: u32, passes: u32) -> Result<Zeroizing<[u8; OUTPUT_BYTES]>, Error> {
    let parameters = Params::new(memory_kib, passes, LANES, Some(OUTPUT_BYTES)).map_err(Error::key)?;
    let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password.expose(), salt, output.as_mut_slice())
        .map_err(Error::key)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_bound_to_its_account() {
        let passwords = Passwords::new();
        let at_rest = Arc::new(AtRest::new(&[3; 32]));
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let stored = passwords.make(secret("correct horse"), at_rest.clone(), "a".into()).await.expect("a hash");
        let check = |password: &str, row: &str| {
            passwords.check(secret(password), Some((row.to_owned(), stored.clone())), at_rest.clone())
        };
        assert!(check("correct horse", "a").await.expect("a check"));
        assert!(!check("correct horsf", "a").await.expect("a check"));
        assert!(check("correct horse", "b").await.is_err(), "another account's row");
        assert!(!passwords.check(secret("x"), None, at_rest).await.expect("the same work for nobody"));
    }
}
