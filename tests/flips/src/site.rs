//! A store that can be damaged and put right again.

use crate::{Flip, Outcome, truth::Truth};
use snaptrak_domain::{
    CancelToken, Clock, Finding, Kind, Sha256Digest, StageMs, StepKind, Task, queue_store::QueueStore,
};
use snaptrak_store::{CaptureRequest, Recovery, Store, StoreError, Surroundings};
use snaptrak_testkit::{FakeClock, FakeDisk, FixedKeyStore, SeededRandom};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const KEY: [u8; 32] = [7; 32];

/// Plaintext of the photo and of the recording: some kilobytes each, so that every byte can be flipped.
const PHOTO_BYTES: usize = 1_500;
const RECORDING_BYTES: usize = 2_500;

/// A store, what must come out of it, and its files as they were.
pub(crate) struct Site {
    folder: PathBuf,
    files: Arc<BTreeMap<PathBuf, Vec<u8>>>,
    truth: Truth,
    seed: AtomicU64,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Site {
    /// Makes a store of three captures in a folder.
    pub(crate) fn make(work: &Path) -> Result<Self, Failure> {
        let folder = work.join("store");
        fs::create_dir_all(work)?;
        let seed = AtomicU64::new(1);
        let store = Store::create(&folder, surroundings(&seed))?;
        fill(&store)?;
        let truth = Truth::of(&store)?;
        store.close()?;
        let mut files = BTreeMap::new();
        read_folder(&folder, &folder, &mut files)?;
        // The lock is empty, and an empty log is none.
        files.retain(|path, bytes| !bytes.is_empty() && !path.ends_with("lock"));
        Ok(Self { folder, files: Arc::new(files), truth, seed })
    }

    /// The same store in another folder.
    pub(crate) fn copied(&self, work: &Path) -> Result<Self, Failure> {
        let folder = work.join("store");
        let seed = AtomicU64::new(self.seed.load(Ordering::SeqCst) + 1_000_000_000);
        let copy = Self { folder, files: Arc::clone(&self.files), truth: self.truth.clone(), seed };
        for folder in ["incoming", "assets", "journal", "keyset", "database"] {
            fs::create_dir_all(copy.folder.join(folder))?;
        }
        copy.put_right()?;
        Ok(copy)
    }

    pub(crate) fn files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.files
    }

    /// Flips one byte, looks, and puts everything right; what came of it and whether it was recovered, or what was wrong.
    pub(crate) fn try_flip(&self, flip: &Flip) -> Result<(Outcome, bool), String> {
        let mut bytes = self.files[&flip.file].clone();
        bytes[flip.place] ^= flip.mask;
        fs::write(self.folder.join(&flip.file), &bytes).map_err(|error| error.to_string())?;
        let looked = catch_unwind(AssertUnwindSafe(|| self.look(flip)));
        self.put_right().map_err(|error| error.to_string())?;
        looked.unwrap_or_else(|_| Err("a panic".to_owned()))
    }

    fn look(&self, flip: &Flip) -> Result<(Outcome, bool), String> {
        let outcome = match Store::open(&self.folder, surroundings(&self.seed)) {
            Ok(store) => {
                let whole = self.truth.check_opened(&store);
                // A store that cannot write down that it ends has said so.
                drop(store.close());
                if whole? { Outcome::Right } else { Outcome::Told }
            }
            Err(StoreError::Panicked) => return Err("a panic".to_owned()),
            Err(_) => Outcome::Refused,
        };
        if !flip.recover {
            return Ok((outcome, false));
        }
        // The opened store has written to its database alone, which recovery does not look at.
        let recovered = self.recover()?;
        Ok((outcome, recovered))
    }

    /// Recovers; whether that was possible.
    fn recover(&self) -> Result<bool, String> {
        let into = self.folder.with_file_name("again");
        let recovery = Recovery {
            from: &self.folder,
            into: &into,
            recovery_key: None,
            without_keys: false,
            recipients: &|_, _| Vec::new(),
            progress: &|_, _| {},
            cancel: &CancelToken::new(),
        };
        let result = match Store::recover(&recovery, surroundings(&self.seed)) {
            Ok((store, report)) => {
                let checked = self.truth.check_recovered(&store, !report.unreadable.is_empty());
                drop(store.close());
                checked.map(|()| true)
            }
            Err(StoreError::Panicked) => Err("a panic while recovering".to_owned()),
            Err(_) => Ok(false),
        };
        match fs::remove_dir_all(&into) {
            Ok(()) => result,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => result,
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes back what differs and removes what was added.
    fn put_right(&self) -> Result<(), Failure> {
        let mut there = BTreeMap::new();
        read_folder(&self.folder, &self.folder, &mut there)?;
        for path in there.keys().filter(|path| !self.files.contains_key(*path) && !path.ends_with("lock")) {
            fs::remove_file(self.folder.join(path))?;
        }
        for (path, bytes) in self.files.iter().filter(|(path, bytes)| there.get(*path) != Some(bytes)) {
            let path = self.folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            // Another file and not the same one: a recovered store may still have a link to it.
            drop(fs::remove_file(&path));
            fs::write(path, bytes)?;
        }
        Ok(())
    }
}

fn surroundings(seed: &AtomicU64) -> Surroundings {
    Surroundings {
        clock: Arc::new(FakeClock::new()),
        random: Arc::new(SeededRandom::new(seed.fetch_add(1, Ordering::SeqCst))),
        key_store: Arc::new(FixedKeyStore::new(KEY)),
        signer: None,
        disk: Arc::new(FakeDisk::default()),
        ballast_bytes: 0,
    }
}

/// A photo in which something was found, a note, and a recording; all of them signed for.
fn fill(store: &Store) -> Result<(), Failure> {
    let noise = |length: usize| (0..length as u64).map(|place| (place.wrapping_mul(2_654_435_761) >> 7) as u8);
    let photo: Vec<u8> = b"\xff\xd8\xff\xe0".iter().copied().chain(noise(PHOTO_BYTES)).collect();
    let photo =
        store.capture(CaptureRequest { note: Some("a photo".into()), ..Default::default() }, &mut &photo[..])?;
    store.note(CaptureRequest { tags: vec!["tag".into()], ..Default::default() }, "what a person saw")?;
    let mut recording = store.record(CaptureRequest { kind: Some(Kind::Audio), ..Default::default() })?;
    recording.write(&noise(RECORDING_BYTES).collect::<Vec<u8>>())?;
    recording.finish()?;
    let now = FakeClock::new().now();
    for step in store.ready(StepKind::Analyse, now, 1)? {
        store.save_findings(step.step_id, step.capture_id, photo.asset_id, &[finding()], now)?;
    }
    store.sign_pending()?;
    Ok(())
}

fn finding() -> Finding {
    Finding {
        task: Task::ReadText,
        model_id: "model".into(),
        model_sha256: Sha256Digest([8; 32]),
        engine: "engine".into(),
        accelerator_asked: "cpu".into(),
        accelerator_ran: "cpu".into(),
        ms: StageMs::default(),
        boxes: Vec::new(),
        text: Some("a sign on a door".into()),
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), Failure> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(root, &path, files)?;
        } else {
            files.insert(path.strip_prefix(root)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}
