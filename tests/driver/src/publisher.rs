//! An organisation that publishes models at a station's server, as people do: with the server's own commands, and a manifest
//! that is signed as the format's description (`core/seal/README.md`) says.

use crate::{Cache, DriverError, Station};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{digest, signature};
use serde_json::{Value, json};
use signature::KeyPair as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The model that releases are made of: it is small, and finds the face in a sample picture.
pub const FACES: &str = "blazeface_back";
/// After every run of these tests.
const EXPIRES_MS: i64 = 32_503_680_000_000;

/// The organisation's publisher.
#[derive(Debug)]
pub struct Publisher {
    server: PathBuf,
    data: PathBuf,
    folder: PathBuf,
    cache: Cache,
    organisation: String,
    seed: [u8; 32],
}

/// A version of the models with its files, to be changed before it is published.
#[derive(Debug, Clone)]
pub struct Release {
    /// What is signed with it.
    pub version: u64,
    /// Where its files lie.
    pub folder: PathBuf,
    /// The manifest, not signed yet.
    pub manifest: Value,
}

impl Publisher {
    /// Has the station's server vouch for a key for models; it is started again, so that its bundle names the key.
    pub fn of(station: &mut Station, server_options: &[&str]) -> Result<Self, DriverError> {
        let mut publisher = Self {
            server: station.programs().server(),
            data: station.server_data(),
            folder: station.folder().to_owned(),
            cache: station.cache.clone(),
            organisation: String::new(),
            seed: [7; 32],
        };
        let root = publisher.command(&["trust-root", "--json"])?;
        publisher.organisation = root["organisation"].as_str().unwrap_or_default().to_owned();
        let public = STANDARD.encode(publisher.key()?.public_key().as_ref());
        publisher.command(&["add-models-key", "--public", &public, "--json"])?;
        station.start_server(server_options)?;
        Ok(publisher)
    }

    /// The face model as another version, whose one file is nowhere else: `padding` more bytes of words that mean nothing to it.
    pub fn release(&self, version: u64, padding: usize) -> Result<Release, DriverError> {
        let read = |name: &str| fs::read(self.cache.folder().join("models").join(name)).map_err(folder);
        let mut manifest: Value = serde_json::from_slice(&read("manifest.json")?).unwrap_or_default();
        let mut weights = read(&format!("{FACES}.onnx"))?;
        // A second doc_string (field 6) of the model: protocol buffers take the last one.
        let words = format!("version {version} {}", "-".repeat(padding));
        weights.push(6 << 3 | 2);
        let mut left = words.len();
        while left >= 0x80 {
            weights.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        weights.push(left as u8);
        weights.extend_from_slice(words.as_bytes());
        let models = manifest["models"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut model = models.into_iter().find(|model| model["id"] == FACES).unwrap_or_default();
        model["version"] = json!(format!("{version}.0.0"));
        model["labels"] = json!([format!("Visage {version}")]);
        model["variants"].as_array_mut().into_iter().for_each(|variants| variants.retain(|it| it["engine"] == "ort"));
        manifest["models"] = json!([model]);
        let folder = self.folder.join(format!("release-{version}"));
        let mut release = Release { version, folder, manifest };
        release.set_file(0, &format!("faces-{version}.onnx"), &weights)?;
        Ok(release)
    }

    /// Signs a release into `signed.json` of its folder.
    pub fn sign(&self, release: &Release) -> Result<PathBuf, DriverError> {
        let manifest = release.manifest.to_string();
        let key = self.key()?;
        let number = u128::from_str_radix(&self.organisation.replace('-', ""), 16).unwrap_or_default();
        let signed = [
            b"snaptrak.models/1\n",
            &number.to_be_bytes()[..],
            &release.version.to_be_bytes(),
            &0_i64.to_be_bytes(),
            &EXPIRES_MS.to_be_bytes(),
            manifest.as_bytes(),
        ];
        let envelope = json!({
            "format": "snaptrak.models/1", "organisation_id": self.organisation, "version": release.version,
            "issued_ms": 0, "expires_ms": EXPIRES_MS, "manifest": STANDARD.encode(&manifest),
            "key_id": sha256(key.public_key().as_ref()), "signature": STANDARD.encode(key.sign(&signed.concat())),
        });
        let path = release.folder.join("signed.json");
        fs::write(&path, envelope.to_string()).map_err(folder)?;
        Ok(path)
    }

    /// Signs a release and publishes it.
    pub fn publish(&self, release: &Release) -> Result<Value, DriverError> {
        let signed = self.sign(release)?;
        let (signed, from) = (signed.to_string_lossy(), release.folder.to_string_lossy());
        self.command(&["publish-models", "--signed", &signed, "--from", &from, "--json"])
    }

    /// The server's copy of a release's file.
    pub fn held(&self, release: &Release) -> PathBuf {
        let sha256 = release.manifest["models"][0]["variants"][0]["sha256"].as_str().unwrap_or_default();
        self.data.join("models").join(sha256)
    }

    fn key(&self) -> Result<signature::Ed25519KeyPair, DriverError> {
        signature::Ed25519KeyPair::from_seed_unchecked(&self.seed).map_err(|error| DriverError::Said {
            program: "ring".to_owned(),
            code: -1,
            said: error.to_string(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Result<Value, DriverError> {
        let program = format!("snaptrak-server {}", arguments.join(" "));
        let output = Command::new(&self.server)
            .args(&arguments[..1])
            .arg("--data")
            .arg(&self.data)
            .args(&arguments[1..])
            .output()
            .map_err(|source| DriverError::Start { program: program.clone(), source })?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match serde_json::from_str(said.trim()) {
            Ok(value) if output.status.success() => Ok(value),
            _ => {
                let said = said + &String::from_utf8_lossy(&output.stderr);
                Err(DriverError::Said { program, code: output.status.code().unwrap_or(-1), said })
            }
        }
    }
}

impl Release {
    /// Gives one of its models other weights, of which the manifest says the truth.
    pub fn set_file(&mut self, model: usize, name: &str, weights: &[u8]) -> Result<(), DriverError> {
        fs::create_dir_all(&self.folder).map_err(folder)?;
        fs::write(self.folder.join(name), weights).map_err(folder)?;
        let variant = &mut self.manifest["models"][model]["variants"][0];
        variant["file"] = json!(name);
        variant["bytes"] = json!(weights.len());
        variant["sha256"] = json!(sha256(weights));
        Ok(())
    }

    /// Writes a tensor of the self-test, and says what its entry in the manifest is.
    pub fn tensor(&self, name: &str, file: &str, values: &[f32]) -> Result<Value, DriverError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(self.folder.join(file), &bytes).map_err(folder)?;
        Ok(json!({"name": name, "file": file, "bytes": bytes.len(), "sha256": sha256(&bytes)}))
    }

    /// Bytes of its first file.
    pub fn bytes(&self) -> u64 {
        self.manifest["models"][0]["variants"][0]["bytes"].as_u64().unwrap_or_default()
    }

    /// Where its first file lies.
    pub fn file(&self) -> PathBuf {
        let name = self.manifest["models"][0]["variants"][0]["file"].as_str().unwrap_or_default();
        self.folder.join(Path::new(name))
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder(source: std::io::Error) -> DriverError {
    DriverError::Folder { source }
}
