//! What every trial stands on: its folder, the programs, chance, and a device with its server.

use std::fs;
use std::path::{Path, PathBuf};

use snaptrak_driver::{Client, Programs, Server};

use super::evidence::Sources;
use crate::cache::Cache;
use crate::error::{AtPath, Result};
use crate::{models, pictures};

/// The account of the trials, on servers that live as long as a trial.
pub(super) const EMAIL: &str = "crash@example.org";
/// Its password.
pub(super) const PASSWORD: &str = "crash trial, on loopback only";

/// Chance from a seed: the same seed takes the same decisions (SplitMix64, Steele et al. 2014).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The ground of one trial.
pub(super) struct Ground<'a> {
    pub(super) programs: &'a Programs,
    pub(super) cache: &'a Cache,
    /// The trial's own folder.
    pub(super) folder: PathBuf,
    /// How long the source of a long recording is.
    pub(super) recording_bytes: u64,
    seed: u64,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        programs: &'a Programs,
        cache: &'a Cache,
        folder: PathBuf,
        seed: u64,
        recording_bytes: u64,
    ) -> Self {
        Self { programs, cache, folder, recording_bytes, seed }
    }

    /// The same decisions for the same seed.
    pub(super) fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Files to capture.
    pub(super) fn sources(&self, bytes_max: u64) -> Result<Sources> {
        Sources::new(&self.folder, pictures::files(self.cache)?, bytes_max)
    }

    /// A command line on `folder/store` of this trial.
    pub(super) fn client(&self) -> Result<Client> {
        let client = Client::new(self.programs, &self.folder).at(&self.folder)?;
        Ok(client.with_cache(&self.cache.path(""), &models::runtime_library(self.cache)?))
    }

    /// Makes the client's store and enrols it at a new server.
    pub(super) fn site(&self, client: Client) -> Result<Site> {
        let data = self.folder.join("server");
        let server = Server::start(self.programs, &data, "127.0.0.1:0", &[])?;
        let site = Site { address: server.address().to_owned(), programs: self.programs.clone(), data, client, server };
        site.client.tell(&["init"])?;
        site.enrol(&self.folder)?;
        Ok(site)
    }
}

/// A device and its server.
pub(super) struct Site {
    pub(super) client: Client,
    pub(super) server: Server,
    programs: Programs,
    data: PathBuf,
    address: String,
}

impl Site {
    fn enrol(&self, folder: &Path) -> Result<()> {
        let password_file = folder.join("password");
        fs::write(&password_file, PASSWORD).at(&password_file)?;
        let password = password_file.to_string_lossy();
        let arguments = ["sign-up", "--server", &self.server.url, "--email", EMAIL, "--password-file", &password];
        self.client.tell(&arguments)?;
        Ok(())
    }

    /// Signs in again, where a store has lost its session: tokens are in no journal.
    pub(super) fn sign_in(&self) -> Result<()> {
        let password_file = self.client.scratch("password");
        let password = password_file.to_string_lossy();
        let arguments = ["sign-in", "--server", &self.server.url, "--email", EMAIL, "--password-file", &password];
        self.client.tell(&arguments)?;
        Ok(())
    }

    /// Kills the server with SIGKILL and starts it again at the same address.
    pub(super) fn kill_server(&mut self, between: impl FnOnce()) -> Result<()> {
        self.server.kill();
        between();
        self.server = Server::start(&self.programs, &self.data, &self.address, &[])?;
        Ok(())
    }
}
