//! `cargo xtask models key` and `models sign`: an organisation's word that a manifest of models is its own.
//!
//! Owns: the key's file and the envelope, as `core/seal/README.md` specifies them; its tests hold them against the SDK and
//! against an implementation that is neither's. Refuses to know what models are good for: the manifest's bytes are signed as
//! they are.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use crate::error::{AtPath, Error, Result};
use crate::terminal;

const FORMAT: &str = "snaptrak.models/1";
const KEY_FORMAT: &str = "snaptrak.private-key/1";
const ALGORITHM: &str = "ed25519";
const SEED_BYTES: usize = 32;
const DAY_MS: i64 = 86_400_000;

/// The arguments of `cargo xtask models key`.
#[derive(Args)]
pub(super) struct Key {
    /// Where to write the private key; a file that is there is never replaced
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

/// The arguments of `cargo xtask models sign`.
#[derive(Args)]
pub(super) struct Sign {
    /// The manifest
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The private key, as `models key` writes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The organisation whose devices are to accept it
    #[arg(long, value_name = "UUID")]
    organisation: String,
    /// Greater than that of every manifest that was signed before
    #[arg(long, value_name = "N")]
    version: u64,
    /// The day (UTC) on whose beginning devices stop accepting it
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: String,
    /// Where to write it
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    format: String,
    algorithm: String,
    public: String,
    private: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    format: &'a str,
    organisation_id: &'a str,
    version: u64,
    issued_ms: i64,
    expires_ms: i64,
    manifest: String,
    key_id: String,
    signature: String,
}

/// Makes a key for development: one that signs for people's devices belongs into a vault.
pub(super) fn make_key(arguments: &Key) -> Result<()> {
    let mut seed = [0; SEED_BYTES];
    draw(&mut seed)?;
    let pair = pair(&seed)?;
    let public = pair.public_key().as_ref();
    let file = KeyFile {
        format: KEY_FORMAT.to_owned(),
        algorithm: ALGORITHM.to_owned(),
        public: STANDARD.encode(public),
        private: STANDARD.encode(seed),
    };
    let text = serde_json::to_string(&file).expect("text always serializes");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let path = &arguments.output;
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).at(path)?;
    terminal::result(&format!(
        "{}\n  key id {}\n  for the role `models` of the trust bundle: {}",
        path.display(),
        hexadecimal(digest(&SHA256, public).as_ref()),
        file.public
    ));
    Ok(())
}

/// Signs a manifest.
pub(super) fn sign(arguments: &Sign) -> Result<()> {
    let manifest = fs::read(&arguments.manifest).at(&arguments.manifest)?;
    check_manifest(&manifest, &arguments.manifest)?;
    let text = envelope(&manifest, arguments, now_ms())?;
    fs::write(&arguments.output, text + "\n").at(&arguments.output)?;
    terminal::result(&format!(
        "{}: version {}, until {}",
        arguments.output.display(),
        arguments.version,
        arguments.expires
    ));
    Ok(())
}

/// A file of another kind, signed by mistake, would be refused by every device: better told here.
fn check_manifest(manifest: &[u8], path: &Path) -> Result<()> {
    let value: serde_json::Value =
        serde_json::from_slice(manifest).map_err(|source| Error::Description { path: path.to_owned(), source })?;
    if value["schema"] == FORMAT && value["models"].is_array() {
        return Ok(());
    }
    Err(wrong(format!("{} is no manifest of models", path.display()), "give a manifest.json as in models/"))
}

fn envelope(manifest: &[u8], arguments: &Sign, issued_ms: i64) -> Result<String> {
    let pair = read_key(&arguments.key)?;
    let organisation_id = arguments.organisation.to_lowercase();
    let organisation = organisation_bytes(&organisation_id)?;
    let expires_ms = day_ms(&arguments.expires)?;
    if expires_ms <= issued_ms {
        return Err(wrong(format!("{} is not in the future", arguments.expires), "give a later day"));
    }
    let signed = [
        format!("{FORMAT}\n").as_bytes(),
        &organisation,
        &arguments.version.to_be_bytes(),
        &issued_ms.to_be_bytes(),
        &expires_ms.to_be_bytes(),
        manifest,
    ]
    .concat();
    let envelope = Envelope {
        format: FORMAT,
        organisation_id: &organisation_id,
        version: arguments.version,
        issued_ms,
        expires_ms,
        manifest: STANDARD.encode(manifest),
        key_id: hexadecimal(digest(&SHA256, pair.public_key().as_ref()).as_ref()),
        signature: STANDARD.encode(pair.sign(&signed).as_ref()),
    };
    Ok(serde_json::to_string(&envelope).expect("text and numbers always serialize"))
}

fn read_key(path: &Path) -> Result<Ed25519KeyPair> {
    let file: KeyFile = super::read(path)?;
    let unusable = || wrong(format!("{} is no Ed25519 key", path.display()), "make one with `cargo xtask models key`");
    if file.format != KEY_FORMAT || file.algorithm != ALGORITHM {
        return Err(unusable());
    }
    let seed = STANDARD.decode(&file.private).map_err(|_| unusable())?;
    let pair = pair(&seed).map_err(|_| unusable())?;
    if file.public == STANDARD.encode(pair.public_key().as_ref()) { Ok(pair) } else { Err(unusable()) }
}

fn pair(seed: &[u8]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed)
        .map_err(|_| wrong("a key has a wrong length".to_owned(), "make another one"))
}

fn organisation_bytes(text: &str) -> Result<[u8; 16]> {
    let unusable =
        || wrong(format!("{text} is no id of an organisation"), "give the UUID that `snaptrak sign-in` prints");
    let dashes = [8, 13, 18, 23];
    let at_home =
        |(at, letter): (usize, char)| if dashes.contains(&at) { letter == '-' } else { letter.is_ascii_hexdigit() };
    if text.len() != 36 || !text.char_indices().all(at_home) {
        return Err(unusable());
    }
    let number = u128::from_str_radix(&text.replace('-', ""), 16).map_err(|_| unusable())?;
    Ok(number.to_be_bytes())
}

/// The beginning of a day in UTC, after the days-from-civil algorithm (H. Hinnant, "chrono-compatible low-level date
/// algorithms").
fn day_ms(text: &str) -> Result<i64> {
    let unusable = || wrong(format!("{text} is no day"), "give YYYY-MM-DD");
    let numbers: Vec<i64> =
        text.split('-').map(str::parse).collect::<std::result::Result<_, _>>().map_err(|_| unusable())?;
    let &[year @ 1970..=9999, month @ 1..=12, day @ 1..=31] = numbers.as_slice() else { return Err(unusable()) };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > days {
        return Err(unusable());
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Ok(days * DAY_MS)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wrong(what: String, next: &str) -> Error {
    Error::Missing { what, next: next.to_owned() }
}

#[expect(clippy::disallowed_methods, reason = "this is the process's edge")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "this is the process's edge")]
fn draw(bytes: &mut [u8]) -> Result<()> {
    use ring::rand::{SecureRandom as _, SystemRandom};
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| wrong("the operating system gave no random bytes".to_owned(), "try again"))
}

#[cfg(test)]
#[path = "../../../tests/interop/judges.rs"]
mod judges;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;
    use snaptrak_domain::{OrganisationId, UnixMs};
    use snaptrak_seal::{KeyState, RoleKey, RoleKeys, RootPublic, SignedModelsError, TrustBody, accept_models};

    const ORGANISATION: &str = "04040404-0404-0404-0404-040404040404";
    const NOW: i64 = 1_795_000_000_000;

    fn arguments(folder: &Path) -> Sign {
        Sign {
            manifest: super::super::committed().join("manifest.json"),
            key: folder.join("key.json"),
            organisation: ORGANISATION.to_uppercase(),
            version: 3,
            expires: "2027-02-28".to_owned(),
            output: folder.join("signed.json"),
        }
    }

    fn with_key() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        make_key(&Key { output: folder.path().join("key.json") }).unwrap();
        folder
    }

    fn public(folder: &Path) -> Vec<u8> {
        let file: KeyFile = crate::models::read(&folder.join("key.json")).unwrap();
        STANDARD.decode(file.public).unwrap()
    }

    #[test]
    fn what_is_signed_here_is_what_the_sdk_accepts() {
        let folder = with_key();
        let arguments = arguments(folder.path());
        let manifest = fs::read(&arguments.manifest).unwrap();
        let text = envelope(&manifest, &arguments, NOW).unwrap();
        let key = RoleKey::for_ed25519(&public(folder.path()).try_into().unwrap(), KeyState::Active);
        let mut trust = TrustBody {
            organisation_id: OrganisationId::from_bytes([4; 16]),
            version: 1,
            issued_ms: UnixMs(0),
            expires_ms: UnixMs(1),
            root: RootPublic { public: vec![0; 32] },
            roles: RoleKeys { models: vec![key], ..RoleKeys::default() },
        };
        let accepted = accept_models(text.as_bytes(), &trust, None, UnixMs(NOW)).unwrap();
        assert_eq!(accepted.manifest, manifest);
        assert_eq!((accepted.claims.version, accepted.claims.issued_ms), (3, UnixMs(NOW)));
        assert_eq!(accepted.claims.expires_ms, UnixMs(1_803_772_800_000), "by `date -u -d 2027-02-28 +%s`");
        trust.roles = RoleKeys::default();
        let unknown = accept_models(text.as_bytes(), &trust, None, UnixMs(NOW));
        assert!(matches!(unknown, Err(SignedModelsError::UnknownKey { .. })));
    }

    #[test]
    fn an_implementation_that_is_neither_ours_verifies_what_is_signed_here() {
        let folder = with_key();
        let arguments = arguments(folder.path());
        sign(&arguments).unwrap();
        let signed = fs::read_to_string(&arguments.output).unwrap();
        let envelope: serde_json::Value = serde_json::from_str(&signed).unwrap();
        let claims = json!({"organisation_id": ORGANISATION, "version": 3, "issued_ms": envelope["issued_ms"],
                            "expires_ms": 1_803_772_800_000_i64});
        let manifest = STANDARD.encode(fs::read(&arguments.manifest).unwrap());
        let case = json!({"public": STANDARD.encode(public(folder.path())), "signed": signed, "manifest": manifest,
                          "claims": claims});
        let asked = json!({"cases": [case], "seed": STANDARD.encode([1; 32]), "claims": claims});
        fs::write(folder.path().join("models.json"), asked.to_string()).unwrap();
        let verdict = judges::judge("judge_models.py", &[folder.path()]);
        assert!(verdict.clean && verdict.said["verified"] == 1, "{}", verdict.said);
    }

    #[test]
    fn a_key_is_private_and_never_replaced() {
        let folder = with_key();
        let path = folder.path().join("key.json");
        assert!(make_key(&Key { output: path.clone() }).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_no_device_would_accept_is_not_signed() {
        let folder = with_key();
        let good = || arguments(folder.path());
        let refused = |arguments: Sign| envelope(b"{}", &arguments, NOW).unwrap_err().to_string();
        for expires in ["2026-01-01", "2027-02-29", "2027-13-01", "2027-1", "soon", "27-01-01", ""] {
            let words = refused(Sign { expires: expires.to_owned(), ..good() });
            assert!(words.contains("next: "), "{words}");
        }
        for organisation in ["", "4", "04040404040404040404040404040404", "0404040g-0404-0404-0404-040404040404"] {
            assert!(refused(Sign { organisation: organisation.to_owned(), ..good() }).contains("organisation"));
        }
        let other = Sign { manifest: super::super::committed().join("golden.json"), ..good() };
        assert!(sign(&other).unwrap_err().to_string().contains("no manifest"));
        fs::write(folder.path().join("key.json"), "{}").unwrap();
        assert!(sign(&good()).is_err());
    }
}
