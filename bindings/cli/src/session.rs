//! One opened store for one command: options turned into the SDK's configuration, opened, used, closed.

use crate::{
    error::Error,
    globals::Globals,
    output::Output,
    passphrase::{PassphraseKeyStore, PassphraseSource},
    secret_input,
};
use snaptrak::{Config, Platform, SnapTrak, SystemRandom};
use std::{fs, path::Path, sync::Arc};

/// Opens the store, lets `work` use it, and closes it whatever came of that. A store that does not close cleanly is said
/// and changes no result: what the SDK reported was durable when it did.
pub(crate) fn with_store<T>(
    globals: &Globals,
    output: &Output,
    work: impl FnOnce(&SnapTrak) -> Result<T, Error>,
) -> Result<T, Error> {
    let (config, platform) = parts(globals, store_folder(globals)?, output)?;
    let sdk = SnapTrak::open(config, platform)?;
    let worked = work(&sdk);
    if let Err(error) = sdk.close() {
        output.warn(&format!("the store did not close cleanly: {}; what was reported is safe", error.message()));
    }
    worked
}

/// Makes the store.
pub(crate) fn create_store(globals: &Globals, output: &Output) -> Result<(), Error> {
    let (config, platform) = parts(globals, store_folder(globals)?, output)?;
    let sdk = SnapTrak::create(config, platform)?;
    Ok(sdk.close()?)
}

/// The folder of the store, which has no default: evidence should not be spread by a forgotten option.
pub(crate) fn store_folder(globals: &Globals) -> Result<&Path, Error> {
    globals
        .store
        .as_deref()
        .ok_or_else(|| Error::usage("no store was named", "give --store DIR, or set SNAPTRAK_STORE"))
}

/// What an instance on the store in `folder` is made of.
pub(crate) fn parts(globals: &Globals, folder: &Path, output: &Output) -> Result<(Config, Platform), Error> {
    Ok((config(globals, folder)?, platform(globals, output)?))
}

fn config(globals: &Globals, folder: &Path) -> Result<Config, Error> {
    let mut config = Config::new(folder);
    globals.engines.configure(&mut config)?;
    config.quota_bytes = globals.quota_bytes;
    if let Some(bytes) = globals.models_quota_bytes {
        config.models_quota_bytes = bytes;
    }
    if let Some(path) = &globals.trusted_root {
        config.trusted_roots_pem =
            fs::read(path).map_err(|source| Error::Read { what: "the file of trusted certificates", source })?;
    }
    if let Some(name) = host_name() {
        config.device_name = name;
    }
    Ok(config)
}

/// What the organisation sees as this device's name.
fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    let name: String =
        names.nodename().to_string_lossy().chars().filter(|letter| !letter.is_control()).take(64).collect();
    Some(name).filter(|name| !name.is_empty())
}

fn platform(globals: &Globals, output: &Output) -> Result<Platform, Error> {
    let source: Box<dyn PassphraseSource> = match &globals.passphrase_file {
        Some(path) => Box::new(secret_input::Known(secret_input::from_file(path, "passphrase", output)?)),
        None => Box::new(secret_input::Person),
    };
    Ok(Platform::system(Arc::new(PassphraseKeyStore::new(source, Arc::new(SystemRandom)))))
}
