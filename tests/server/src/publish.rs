//! Publishing the organisation's models: a signed manifest with its files, taken in beside a running server.
//!
//! Owns that devices are never offered what they would refuse: the signature holds under the organisation's bundle, the version
//! follows the one before, and every file is here with its length and digest before the release is. Refuses to know what a model
//! is: of the manifest it reads which files there are.

use crate::data_key::DataKeySource;
use crate::database::models::{self, ReleaseRow};
use crate::error::Error;
use crate::folder::Folder;
use crate::organisation::Organisation;
use crate::takeaway::{existing, now};
use serde::Deserialize;
use snaptrak_domain::{Sha256Digest, UnixMs};
use snaptrak_seal::signed_models::SIGNED_MODELS_BYTES_MAX;
use snaptrak_seal::{accept_models, accept_trust_bundle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedModels {
    /// Its version.
    pub version: u64,
    /// Files that its manifest names.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Of a manifest, which files there are.
#[derive(Deserialize)]
struct Manifest {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    variants: Vec<Named>,
    #[serde(default)]
    self_test: Option<SelfTest>,
}

#[derive(Deserialize)]
struct SelfTest {
    inputs: Vec<Named>,
    outputs: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    file: String,
    bytes: u64,
    sha256: Sha256Digest,
}

/// Takes in a signed manifest with the files that it names, from the folder `from`. The same one may be published again.
pub fn publish_models(
    data: &Path,
    source: &DataKeySource,
    signed: &Path,
    from: &Path,
) -> Result<PublishedModels, Error> {
    let (database, at_rest) = existing(data, source)?;
    let folder = Folder::existing(data)?;
    let signed = read(signed)?;
    let organisation = Organisation::existing(&database, &at_rest)?;
    // Its own word: the root that signed it is the one that devices have pinned.
    let trust = accept_trust_bundle(&organisation.trust_bundle, None, UnixMs(i64::MIN)).map_err(Error::models)?;
    let models = accept_models(&signed, &trust.body, None, now()).map_err(Error::models)?;
    let files = files_of(&models.manifest)?;
    let mut published = PublishedModels { version: models.claims.version, files: 0, bytes: 0 };
    for (sha256, named) in &files {
        if !folder.keep_model(&from.join(&named.file), sha256, named.bytes)? {
            return Err(Error::models(format!("{} is not the file that the manifest names", named.file)));
        }
        published.files += 1;
        published.bytes = published.bytes.saturating_add(named.bytes);
    }
    let release = ReleaseRow { version: published.version, signed };
    database.write_now(|transaction| {
        match models::newest(transaction, organisation.id)? {
            Some(newest) if newest.version == release.version && newest.signed == release.signed => return Ok(()),
            Some(newest) if newest.version >= release.version => {
                let version = newest.version;
                return Err(Error::models(format!("version {version} is published, give a greater one")));
            }
            Some(_) | None => {}
        }
        for (sha256, named) in &files {
            models::insert_file(transaction, organisation.id, sha256, named.bytes, now())?;
        }
        models::insert_release(transaction, organisation.id, &release, now())
    })?;
    Ok(published)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::file("open", path))?;
    file.take(SIGNED_MODELS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    Ok(bytes)
}

fn files_of(manifest: &[u8]) -> Result<BTreeMap<Sha256Digest, Named>, Error> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| Error::models("it is no manifest"))?;
    let mut files = BTreeMap::new();
    for model in manifest.models {
        let golden = model.self_test.into_iter().flat_map(|test| test.inputs.into_iter().chain(test.outputs));
        for named in model.variants.into_iter().chain(golden) {
            // Read from the folder that was given and from nowhere else.
            if Path::new(&named.file).file_name() != Some(named.file.as_ref()) {
                return Err(Error::models("a file's name leaves its folder"));
            }
            files.insert(named.sha256, named);
        }
    }
    Ok(files)
}
