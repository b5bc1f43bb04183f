//! The two small files that say where a registry stands: `active.json`, and `newest.json` with the newest version alone, so that
//! damage to the one does not make this device take an older version again.

use super::activation::RegistryError;
use super::disk::Disk;
use super::state::{Accepted, State, StateError};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

const STATE_FILE: &str = "active.json";
const STATE_FILE_NEW: &str = "active.json.new";
const STATE_FILE_DAMAGED: &str = "active.json.damaged";
const NEWEST_FILE: &str = "newest.json";
const NEWEST_FILE_NEW: &str = "newest.json.new";
const NEWEST_FORMAT: &str = "snaptrak.models-newest/1";

#[derive(Serialize, Deserialize)]
struct Newest {
    format: String,
    #[serde(flatten)]
    accepted: Accepted,
}

pub(super) struct Records {
    pub(super) state: State,
    /// The signed manifest that was accepted last, by whichever file says the greater version.
    pub(super) newest: Option<Accepted>,
    /// Whether `newest.json` says so.
    is_kept: bool,
}

impl Records {
    /// Reads both. What is active and cannot be read is set aside; a newest version that cannot be read is taken from the other.
    pub(super) fn read(folder: &Path, disk: &dyn Disk) -> Result<Self, RegistryError> {
        let path = folder.join(STATE_FILE);
        let state = match read(&path)?.map(|bytes| State::parse(&bytes)) {
            None => State::default(),
            Some(Ok(state)) => state,
            Some(Err(StateError::Newer)) => return Err(RegistryError::Newer),
            Some(Err(StateError::Damaged)) => {
                tracing::warn!("what is active cannot be read: it is set aside");
                disk.rename(&path, &folder.join(STATE_FILE_DAMAGED))
                    .map_err(RegistryError::io("set a damaged record aside"))?;
                State::default()
            }
        };
        let kept = read(&folder.join(NEWEST_FILE))?.and_then(|bytes| parse_newest(&bytes));
        let newest = [state.newest, kept].into_iter().flatten().max_by_key(|accepted| accepted.version);
        Ok(Self { state, newest, is_kept: kept == newest })
    }

    /// Replaces what is active whole: after a kill or a power cut it is the old record or the new one. The newest version is
    /// written before it.
    pub(super) fn save(&mut self, state: State, folder: &Path, disk: &dyn Disk) -> Result<(), RegistryError> {
        let saving = RegistryError::io("write what is active");
        let newest = [state.newest, self.newest].into_iter().flatten().max_by_key(|accepted| accepted.version);
        if let Some(accepted) = newest.filter(|_| newest != self.newest || !self.is_kept) {
            let newest = Newest { format: NEWEST_FORMAT.to_owned(), accepted };
            let bytes = serde_json::to_vec(&newest).expect("text and numbers always serialize");
            disk.write(&folder.join(NEWEST_FILE_NEW), &bytes).map_err(&saving)?;
            disk.rename(&folder.join(NEWEST_FILE_NEW), &folder.join(NEWEST_FILE)).map_err(&saving)?;
            (self.newest, self.is_kept) = (Some(accepted), true);
        }
        let new = folder.join(STATE_FILE_NEW);
        disk.write(&new, &state.to_bytes()).map_err(&saving)?;
        disk.rename(&new, &folder.join(STATE_FILE)).map_err(&saving)?;
        // From here on the next start reads the new record, whatever the sync says.
        self.state = state;
        disk.sync_folder(folder).map_err(&saving)
    }
}

fn parse_newest(bytes: &[u8]) -> Option<Accepted> {
    let Newest { format, accepted } = serde_json::from_slice(bytes).ok()?;
    (format == NEWEST_FORMAT).then_some(accepted)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RegistryError::io("read what is active")(source)),
        Ok(bytes) => Ok(Some(bytes)),
    }
}
