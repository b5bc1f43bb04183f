//! The instance: opening, closing, keys.

use crate::{
    Config, KeyStore, Signer, SnapTrakError, TokenProvider,
    cancellation::{self, Cancellation, Waiting},
    key_store, signer,
    threads::{self, Ended, Threads},
    token_provider,
};
use snaptrak::{CancelToken, Error, Platform};
use std::sync::Arc;

/// The SDK on one store. Two instances on two stores live side by side.
///
/// Everything may be called from any thread. Close it with `SnapTrak::shutdown`: dropping it frees the store too, without an
/// answer.
#[derive(uniffi::Object)]
pub struct SnapTrak {
    core: snaptrak::SnapTrak,
    threads: Threads,
}

/// Which keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct RotateKeys {
    /// What the database is encrypted with.
    #[uniffi(default = true)]
    pub database: bool,
    /// What the data keys of new captures are wrapped for.
    #[uniffi(default = true)]
    pub media: bool,
}

type Begin = fn(snaptrak::Config, Platform) -> Result<snaptrak::SnapTrak, Error>;

#[uniffi::export]
impl SnapTrak {
    /// Makes a store in an empty or absent folder and opens it. Without a `signer` a software key signs receipts, which say so.
    /// A `token_provider` gives access tokens to `SnapTrak::enrol` and all that follows it.
    #[uniffi::constructor(default(signer = None, token_provider = None))]
    pub async fn create(
        config: Config,
        key_store: Arc<dyn KeyStore>,
        signer: Option<Arc<dyn Signer>>,
        token_provider: Option<Arc<dyn TokenProvider>>,
    ) -> Result<Arc<Self>, SnapTrakError> {
        Self::begin(snaptrak::SnapTrak::create, config, move || platform(key_store, signer, token_provider)).await
    }

    /// Opens the store of the configuration. One process owns a store: a second gets `InUse`.
    #[uniffi::constructor(default(signer = None, token_provider = None))]
    pub async fn open(
        config: Config,
        key_store: Arc<dyn KeyStore>,
        signer: Option<Arc<dyn Signer>>,
        token_provider: Option<Arc<dyn TokenProvider>>,
    ) -> Result<Arc<Self>, SnapTrakError> {
        Self::begin(snaptrak::SnapTrak::open, config, move || platform(key_store, signer, token_provider)).await
    }

    /// Ends the work in progress, writes down what is only in memory and frees the store. What waits for the server is broken off,
    /// recordings that go on end with what they have. Calls that come later, of a recording too, are refused with the code
    /// `cancelled`; shutting down twice is no error.
    pub async fn shutdown(&self) -> Result<(), SnapTrakError> {
        let core = self.core.clone();
        self.threads.run_last(move || Ok(core.close()?)).await
    }

    /// Brings the keys of the viewing class while the person is there. Without it each view asks for itself.
    pub async fn unlock(&self) -> Result<(), SnapTrakError> {
        self.run(|core| Ok(core.unlock()?)).await
    }

    /// Forgets the keys of the viewing class, as when the app locks itself.
    pub fn lock(&self) -> Result<(), SnapTrakError> {
        threads::here(|| {
            self.core.lock();
            Ok(())
        })
    }

    /// Gives the store new keys, while captures go on. No sealed byte of media is written again.
    pub async fn rotate_keys(&self, keys: RotateKeys) -> Result<(), SnapTrakError> {
        let keys = snaptrak::RotateKeys { database: keys.database, media: keys.media };
        self.run(move |core| Ok(core.rotate_keys(keys)?)).await
    }

    /// Gives back memory that only makes the next look quicker (`onTrimMemory`, `didReceiveMemoryWarning`).
    pub async fn trim_memory(&self) -> Result<(), SnapTrakError> {
        self.run(|core| Ok(core.trim_memory()?)).await
    }
}

impl SnapTrak {
    pub(crate) fn core(&self) -> &snaptrak::SnapTrak {
        &self.core
    }

    /// For what may outlive this instance.
    pub(crate) fn ended(&self) -> Ended {
        self.threads.ended()
    }

    async fn begin(
        begin: Begin,
        config: Config,
        platform: impl FnOnce() -> Result<Platform, SnapTrakError> + Send + 'static,
    ) -> Result<Arc<Self>, SnapTrakError> {
        let threads = Threads::new()?;
        let core = threads.run(move || Ok(begin(config.into(), platform()?)?)).await?;
        Ok(Arc::new(Self { core, threads }))
    }

    /// Runs `work` on a thread of the instance.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&snaptrak::SnapTrak) -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        let core = self.core.clone();
        self.threads.run(move || work(&core))
    }

    /// The same for `work` that the app's own token alone breaks off: a photo is not lost because the screen that took it has gone.
    pub(crate) fn run_unless<T: Send + 'static>(
        &self,
        given: Option<Arc<Cancellation>>,
        work: impl FnOnce(&snaptrak::SnapTrak, &CancelToken) -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        let (core, cancel) = (self.core.clone(), cancellation::of_the_app(given));
        let token = cancel.clone();
        self.threads.run_until(cancel, move || work(&core, &token))
    }

    /// The same for `work` that can be broken off: by `waiting`'s token, or because nobody waits for the answer any more.
    pub(crate) fn run_until<T: Send + 'static>(
        &self,
        waiting: Waiting,
        work: impl FnOnce(&snaptrak::SnapTrak, &CancelToken) -> Result<T, SnapTrakError> + Send + 'static,
    ) -> impl Future<Output = Result<T, SnapTrakError>> + Send {
        let core = self.core.clone();
        self.threads.run_while(waiting, move |token| work(&core, token))
    }
}

/// The operating system's clock, chance and disk beside what the app gives.
pub(crate) fn platform(
    key_store: Arc<dyn KeyStore>,
    signer: Option<Arc<dyn Signer>>,
    token_provider: Option<Arc<dyn TokenProvider>>,
) -> Result<Platform, SnapTrakError> {
    let signer = signer.map(signer::adapted).transpose()?;
    let token_provider = token_provider.map(token_provider::adapted);
    Ok(Platform { signer, token_provider, ..Platform::system(Arc::new(key_store::Adapted(key_store))) })
}
