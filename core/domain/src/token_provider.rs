//! Access tokens from the host app, for an app that signs its people in itself.

use crate::Secret;

/// What a token provider answers instead of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// None can be had now, for example because there is no network: asked again the next time that something is sent.
    #[error("the app has no access token now")]
    NotNow,
    /// Nobody is signed in to the app.
    #[error("nobody is signed in to the app")]
    SignedOut,
}

/// Gives the access tokens with which this device speaks to the API, in place of a session of its own. They stay in memory and
/// go to the server that the device is enrolled with, nowhere else.
///
/// It is asked when something is to be sent, one question at a time, on a thread that holds nothing of the core. An answer that
/// does not come keeps back what is sent and nothing else, and is not waited for longer than whoever sends it.
pub trait TokenProvider: Send + Sync {
    /// A token that the server should take: ASCII without spaces. `refused` is the one that the server has just refused; the same
    /// again would be refused too.
    fn token(&self, refused: Option<&Secret>) -> Result<Secret, TokenError>;
}
