//! One device and one server in a folder of their own, which goes away with them.

use crate::{Account, Answer, Cache, Client, DriverError, Programs, Server, patience};
use serde_json::Value;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The account that a station's device belongs to.
pub const EMAIL: &str = "field@example.org";
/// Its password.
pub const PASSWORD: &str = "a password for tests, on loopback only";

/// Windows until everything must have been brought: one does the work, the others let delayed retries come due.
const WINDOWS_MAX: usize = 12;

/// A capture that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Captured {
    /// Its id.
    pub id: String,
    /// Its original.
    pub asset_id: String,
    /// What it was taken for.
    pub kind: String,
    /// Bytes of the plaintext.
    pub bytes: u64,
    /// Digest of the plaintext.
    pub sha256: String,
}

/// One device and one server.
#[derive(Debug)]
pub struct Station {
    /// The device's command line.
    pub client: Client,
    /// What was fetched for the tests.
    pub cache: Cache,
    programs: Programs,
    server: Option<Server>,
    address: String,
    // Last, so that the server is gone before its folder.
    folder: tempfile::TempDir,
}

impl Station {
    /// A store without an account, and no server yet.
    pub fn new() -> Result<Self, DriverError> {
        let made = |source| DriverError::Folder { source };
        let folder = tempfile::tempdir().map_err(made)?;
        fs::write(folder.path().join("password"), PASSWORD).map_err(made)?;
        let programs = Programs::beside_this_test();
        let cache = Cache::of_this_checkout();
        let client = Client::new(&programs, folder.path()).map_err(made)?;
        let client = client.with_environment("SNAPTRAK_CACHE", cache.folder());
        client.tell(&["init"])?;
        Ok(Self { client, cache, programs, server: None, address: "127.0.0.1:0".to_owned(), folder })
    }

    /// A device that belongs to an account of a running server.
    pub fn enrolled(server_options: &[&str]) -> Result<Self, DriverError> {
        let mut station = Self::new()?;
        station.start_server(server_options)?;
        station.enrol(&station.url())?;
        Ok(station)
    }

    /// Where everything of this station lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the station's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The server's folder.
    pub fn server_data(&self) -> PathBuf {
        self.path("server")
    }

    /// A file that holds the account's password.
    pub fn password_file(&self) -> PathBuf {
        self.path("password")
    }

    /// The programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Starts the server, at the address where it was before.
    pub fn start_server(&mut self, options: &[&str]) -> Result<(), DriverError> {
        let data = self.server_data();
        self.start_server_on(&data, options, &[])
    }

    /// Starts a server with another folder at the same address.
    pub fn start_server_on(
        &mut self,
        data: &Path,
        options: &[&str],
        environment: &[(&str, OsString)],
    ) -> Result<(), DriverError> {
        self.stop_server();
        let faults = self.path("faults.json");
        let mut all = vec!["--fault-file", faults.to_str().unwrap_or_default()];
        all.extend(options);
        let server = Server::start_in(&self.programs, data, &self.address, &all, environment)?;
        self.address = server.address().to_owned();
        self.server = Some(server);
        Ok(())
    }

    /// Kills the server.
    pub fn stop_server(&mut self) {
        self.server = None;
    }

    /// The server's address, running or not.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The server's URL, running or not.
    pub fn url(&self) -> String {
        self.server.as_ref().map_or_else(|| format!("http://{}", self.address), |server| server.url.clone())
    }

    /// Makes the account and enrols the device in it.
    pub fn enrol(&self, url: &str) -> Result<Value, DriverError> {
        let password = self.password_file();
        let password = password.to_string_lossy();
        self.client.tell(&["sign-up", "--server", url, "--email", EMAIL, "--password-file", &password])
    }

    /// Orders faults of the server, from its next request on; null ends them.
    pub fn order_faults(&self, rules: &Value) -> Result<(), DriverError> {
        let text = if rules.is_null() { String::new() } else { rules.to_string() };
        let new = self.path("faults.new");
        // Replaced whole: the server reads the file at every request.
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, self.path("faults.json")));
        written.map_err(|source| DriverError::Folder { source })
    }

    /// The account, asked without our client.
    pub fn account(&self) -> Result<Account, DriverError> {
        Account::sign_in(&self.url(), EMAIL, PASSWORD)
    }

    /// Writes a file into the station's folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, DriverError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(|source| DriverError::Folder { source })?;
        Ok(path)
    }

    /// Writes a file of so many bytes that do not compress, the same ones for the same seed.
    pub fn write_noise(&self, name: &str, bytes: u64, seed: u64) -> Result<PathBuf, DriverError> {
        let path = self.path(name);
        write_noise(&path, bytes, seed).map_err(|source| DriverError::Folder { source })?;
        Ok(path)
    }

    /// Captures files, all of which must be taken.
    pub fn capture<P: AsRef<Path>>(&self, files: &[P]) -> Result<Vec<Captured>, DriverError> {
        let mut arguments = vec![OsString::from("capture")];
        arguments.extend(files.iter().map(|file| file.as_ref().as_os_str().to_owned()));
        Ok(captures(&self.client.tell(&arguments)?))
    }

    /// Syncs until nothing is left that could still go; what each window answered.
    pub fn bring_everything(&self) -> Result<Vec<Answer>, DriverError> {
        let mut windows = Vec::new();
        while windows.len() < WINDOWS_MAX {
            let answer = self.client.ask(&["sync"])?;
            let is_over = answer.code != 5;
            if let Some(moment) = answer.json["next_try_ms"].as_u64().filter(|_| !is_over) {
                patience::until(|| now_ms() >= moment);
            }
            windows.push(answer);
            if is_over {
                break;
            }
        }
        Ok(windows)
    }

    /// Asks both sides: the device says that these captures are verified, and the server, asked without our client, holds
    /// each of them once, with its digest and each piece once.
    pub fn check_held(&self, captures: &[Captured]) -> Result<(), DriverError> {
        let account = self.account()?;
        let listed = account.captures()?;
        for capture in captures {
            let not_held = |said: String| DriverError::NotHeld { id: capture.id.clone(), said };
            let why = self.client.tell(&["why", &capture.id])?;
            if why["state"] != "verified" {
                return Err(not_held(format!("the device says {why}")));
            }
            let times = listed.iter().filter(|listed| listed["id"] == capture.id.as_str()).count();
            let held = account.get(&format!("/v1/captures/{}", capture.id))?;
            if times != 1 || !is_whole(&held, capture) {
                return Err(not_held(format!("listed {times} times; the server says {held}")));
            }
        }
        Ok(())
    }
}

/// What a `capture`, `note` or `record` acknowledged.
pub fn captures(answer: &Value) -> Vec<Captured> {
    let word = |capture: &Value, name: &str| capture[name].as_str().unwrap_or_default().to_owned();
    let read = |capture: &Value| Captured {
        id: word(capture, "id"),
        asset_id: word(capture, "asset_id"),
        kind: word(capture, "kind"),
        bytes: capture["bytes"].as_u64().unwrap_or_default(),
        sha256: word(capture, "sha256"),
    };
    answer["captures"].as_array().into_iter().flatten().map(read).collect()
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "compared with the moment that another process named")]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn is_whole(held: &Value, capture: &Captured) -> bool {
    let assets = held["assets"].as_array().into_iter().flatten();
    let originals: Vec<&Value> = assets.filter(|asset| asset["rendition"] == "original").collect();
    let [original] = originals.as_slice() else { return false };
    let pieces = original["pieces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let each_once = pieces.iter().map(|piece| piece["index"].as_u64()).eq((0..pieces.len() as u64).map(Some));
    let is_it = original["id"] == capture.asset_id.as_str() && original["sha256"] == capture.sha256.as_str();
    is_it && original["state"] == "verified" && original["bytes"] == capture.bytes && each_once && !pieces.is_empty()
}

/// Xorshift (Marsaglia 2003): what compresses would not load the wire.
fn write_noise(path: &Path, bytes: u64, seed: u64) -> io::Result<()> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut file = io::BufWriter::with_capacity(CHUNK_BYTES as usize, fs::File::create(path)?);
    let mut left = bytes;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        let take = left.min(word.len() as u64);
        io::Write::write_all(&mut file, &word[..take as usize])?;
        left -= take;
    }
    io::Write::flush(&mut file)
}
