//! Access tokens from the app, as it implements it.

use snaptrak::{Secret, TokenError};
use std::sync::Arc;

/// What a token provider answers instead of a token.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Error)]
pub enum TokenFailure {
    /// None can be had now, for example because there is no network: asked again the next time that something is sent.
    NotNow,
    /// Nobody is signed in to the app.
    SignedOut,
    /// None of the above; taken as `NotNow`.
    Unexpected {
        /// For a developer. It is not logged: it may hold a token.
        detail: String,
    },
}

impl std::fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotNow => "the app has no access token now",
            Self::SignedOut => "nobody is signed in to the app",
            Self::Unexpected { .. } => "the token provider failed",
        })
    }
}

impl std::error::Error for TokenFailure {}

impl From<uniffi::UnexpectedUniFFICallbackError> for TokenFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unexpected { detail: error.reason }
    }
}

/// Gives the access tokens with which this device speaks to the API, for an app that signs its people in itself. They are neither
/// stored nor logged, and go to the server that the device is enrolled with, nowhere else.
///
/// It is asked when something is to be sent, one question at a time, on a thread of the library that holds no lock. It may take as
/// long as a request takes; what is sent waits at most a minute for it, and no longer than its own budget and cancellation. To show
/// a sign-in, answer `SignedOut` and let the app do so.
#[uniffi::export(with_foreign)]
pub trait TokenProvider: Send + Sync {
    /// A token that the server should take. `refused` is the one that it has just refused, because it ended or was revoked: the same
    /// again would be refused too, and twice in a row ends the session as `SignedOut` does.
    fn token(&self, refused: Option<String>) -> Result<String, TokenFailure>;
}

struct Adapted(Arc<dyn TokenProvider>);

/// The app's token provider as the core asks for it.
pub(crate) fn adapted(provider: Arc<dyn TokenProvider>) -> Arc<dyn snaptrak::TokenProvider> {
    Arc::new(Adapted(provider))
}

impl snaptrak::TokenProvider for Adapted {
    fn token(&self, refused: Option<&Secret>) -> Result<Secret, TokenError> {
        let refused = refused.map(|token| String::from_utf8_lossy(token.expose()).into_owned());
        match self.0.token(refused) {
            Ok(token) => Ok(Secret::new(token.into_bytes())),
            Err(TokenFailure::NotNow) => Err(TokenError::NotNow),
            Err(TokenFailure::SignedOut) => Err(TokenError::SignedOut),
            Err(TokenFailure::Unexpected { .. }) => {
                tracing::error!("the app's token provider threw what it had not declared");
                Err(TokenError::NotNow)
            }
        }
    }
}
