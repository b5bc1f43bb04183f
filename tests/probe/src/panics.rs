//! A key store that makes the core panic: everything beneath it is the core's own, on the core's own threads.

use snaptrak_ffi::{Config, KeyClass, KeyStore, KeyStoreFailure, SnapTrak, SnapTrakError, WrappedKeys};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

/// Says when the next panics come.
#[derive(Default, uniffi::Object)]
pub struct PanicSwitch {
    left: AtomicU64,
    had: AtomicU64,
}

#[uniffi::export]
impl PanicSwitch {
    /// One that is off.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>, SnapTrakError> {
        Ok(Arc::default())
    }

    /// The next `times` calls of the key store panic.
    pub fn panic(&self, times: u64) -> Result<(), SnapTrakError> {
        self.left.store(times, SeqCst);
        Ok(())
    }

    /// Panics that there were.
    pub fn panicked(&self) -> Result<u64, SnapTrakError> {
        Ok(self.had.load(SeqCst))
    }
}

struct Panicking {
    keys: Arc<dyn KeyStore>,
    switch: Arc<PanicSwitch>,
}

impl Panicking {
    #[expect(clippy::panic, reason = "what is tested is what becomes of it")]
    fn called(&self) {
        if self.switch.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.switch.had.fetch_add(1, SeqCst);
            panic!("provoked by a test");
        }
    }
}

impl KeyStore for Panicking {
    fn wrap(&self, class: KeyClass, keys: Vec<u8>, associated_data: Vec<u8>) -> Result<WrappedKeys, KeyStoreFailure> {
        self.called();
        self.keys.wrap(class, keys, associated_data)
    }

    fn unwrap(
        &self,
        class: KeyClass,
        wrapped: WrappedKeys,
        associated_data: Vec<u8>,
    ) -> Result<Vec<u8>, KeyStoreFailure> {
        self.called();
        self.keys.unwrap(class, wrapped, associated_data)
    }
}

/// Opens a store whose key store is `keys`, with a switch, `panics`, that makes its calls panic.
#[uniffi::export]
pub async fn open_that_panics(
    config: Config,
    keys: Arc<dyn KeyStore>,
    panics: Arc<PanicSwitch>,
) -> Result<Arc<SnapTrak>, SnapTrakError> {
    SnapTrak::open(config, Arc::new(Panicking { keys, switch: panics }), None, None).await
}
