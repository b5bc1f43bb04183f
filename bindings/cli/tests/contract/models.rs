//! Models that the organisation signed: a version that works is used, one that does not is not, and nothing asks a network.
//!
//! The inference library and the packaged models come from the cache (`cargo xtask models`); without them the tests fail.

use crate::program::{Place, assert_fails, assert_fields, one_object, run, sha256_hex};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use snaptrak_domain::{OrganisationId, UnixMs};
use snaptrak_seal::{
    KeyState, ModelsClaims, RoleKey, RoleKeys, RootKey, RootPublic, TrustBody, sign_models, sign_trust_bundle,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// After every test run of this software.
const EXPIRES: UnixMs = UnixMs(32_503_680_000_000);
const FACES: &str = "blazeface_back";

fn cache() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    std::env::var_os("SNAPTRAK_CACHE").map_or_else(default, PathBuf::from)
}

fn library() -> PathBuf {
    let entries = fs::read_dir(cache().join("runtime")).expect("`cargo xtask models` has run");
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime.");
    paths.filter(is_library).max().expect("`cargo xtask models` has brought the library")
}

/// A store, an organisation, and its releases.
struct Field {
    place: Place,
    organisation_id: OrganisationId,
    key: RootKey,
    root: RootKey,
}

impl Field {
    fn new() -> Self {
        let organisation_id = OrganisationId::from_bytes([4; 16]);
        let (root, key) = (RootKey::from_seed(&[1; 32]), RootKey::from_seed(&[2; 32]));
        let place = Place::with_store();
        let trust = TrustBody {
            organisation_id,
            version: 1,
            issued_ms: UnixMs(0),
            expires_ms: EXPIRES,
            root: RootPublic { public: root.public().to_vec() },
            roles: RoleKeys {
                models: vec![RoleKey::for_ed25519(&key.public(), KeyState::Active)],
                ..RoleKeys::default()
            },
        };
        place.file("trust.json", sign_trust_bundle(&trust, &[&root]).unwrap().as_bytes());
        Self { place, organisation_id, key, root }
    }

    /// The face model under another version, in `release-VERSION`, changed as `change` says and signed by `key`.
    fn release(&self, version: u64, key: &RootKey, change: impl FnOnce(&Path, &mut Value)) {
        let folder = self.place.path(format!("release-{version}"));
        fs::create_dir_all(&folder).unwrap();
        let mut manifest: Value =
            serde_json::from_slice(&fs::read(cache().join("models/manifest.json")).unwrap()).unwrap();
        let models = manifest["models"].as_array_mut().unwrap();
        models.retain(|model| model["id"] == FACES);
        models[0]["version"] = json!(format!("{version}.0.0"));
        for variant in models[0]["variants"].as_array().unwrap() {
            let file = variant["file"].as_str().unwrap();
            fs::copy(cache().join("models").join(file), folder.join(file)).unwrap();
        }
        let file = models[0]["variants"][0]["file"].as_str().unwrap().to_owned();
        change(&folder.join(file), &mut models[0]);
        let (issued_ms, expires_ms) = (UnixMs(0), EXPIRES);
        let claims = ModelsClaims { organisation_id: self.organisation_id, version, issued_ms, expires_ms };
        let signed = sign_models(&claims, manifest.to_string().as_bytes(), key).unwrap();
        self.place.file(format!("release-{version}/signed.json"), signed.as_bytes());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.program(words);
        command.env("SNAPTRAK_MODELS", cache().join("models")).env("SNAPTRAK_ONNXRUNTIME", library());
        command.env("SNAPTRAK_TFLITE", cache().join("runtime/litert/libLiteRt.so"));
        command
    }

    fn json(&self, words: &[&str]) -> (i32, Value) {
        one_object(run(self.command(words).arg("--json")))
    }

    fn activation(&self, version: u64) -> Command {
        let folder = self.place.path(format!("release-{version}"));
        let mut command = self.command(&["models", "activate"]);
        command.arg(folder.join("signed.json")).arg("--from").arg(&folder);
        self.trusting(command)
    }

    fn trusting(&self, mut command: Command) -> Command {
        let root = self.root.fingerprint().to_string();
        command.arg("--trust").arg(self.place.path("trust.json")).args(["--trust-root", &root]);
        command
    }

    fn activate(&self, version: u64) -> (i32, Value) {
        one_object(run(self.activation(version).arg("--json")))
    }

    fn in_use(&self) -> (Value, Value) {
        let (exit, list) = self.json(&["models", "list"]);
        assert_eq!((exit, list["schema"].as_str()), (0, Some("snaptrak.models_list/1")));
        assert_fields(&list, &["in_use", "models", "versions", "newest", "refused"]);
        let faces = list["models"].as_array().unwrap().iter().find(|model| model["id"] == FACES).unwrap();
        (list["in_use"].clone(), faces["version"].clone())
    }

    fn verify(&self) -> (i32, Value) {
        one_object(run(self.trusting(self.command(&["models", "verify"])).arg("--json")))
    }
}

/// Weights that are none, of which the manifest says that they are right.
fn noise(file: &Path, model: &mut Value) {
    let bytes = [0x5a; 4_096];
    fs::write(file, bytes).unwrap();
    model["variants"][0]["bytes"] = json!(bytes.len());
    let sha256: String = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    model["variants"][0]["sha256"] = json!(sha256);
}

#[test]
fn what_works_is_used_and_what_does_not_is_rolled_back() {
    let field = Field::new();
    assert_eq!(field.in_use(), (Value::Null, json!("1.0.0")));

    field.release(2, &field.key, |_, _| {});
    let (exit, answer) = field.activate(2);
    assert_eq!((exit, answer["schema"].as_str()), (0, Some("snaptrak.models_activate/1")), "{answer}");
    assert_eq!((&answer["activated"], &answer["rolled_back"]), (&json!(true), &Value::Null));
    assert_eq!(field.in_use(), (json!(2), json!("2.0.0")));

    // Signed and whole, and no model: its self-test fails.
    field.release(3, &field.key, noise);
    let (exit, answer) = field.activate(3);
    assert_eq!((exit, &answer["activated"]), (7, &json!(false)), "{answer}");
    assert!(answer["rolled_back"].as_str().unwrap().contains(FACES), "{answer}");
    assert_eq!(answer["refused"], json!({"version": 3, "because": "self_test_failed"}));
    assert_eq!(field.in_use(), (json!(2), json!("2.0.0")));

    // A file that was damaged on its way.
    field.release(4, &field.key, |file, _| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    });
    assert_fails(|| field.activation(4), 1, "model_damaged");
    assert_eq!(field.in_use(), (json!(2), json!("2.0.0")));

    field.release(5, &field.key, |_, _| {});
    assert_eq!(field.activate(5).0, 0);
    let (exit, answer) = field.json(&["models", "rollback"]);
    assert_eq!((exit, answer["schema"].as_str()), (0, Some("snaptrak.models_rollback/1")));
    assert_eq!((field.in_use().0, &answer["in_use"]), (json!(2), &json!(2)));
    assert_eq!(field.json(&["models", "rollback"]).1["in_use"], Value::Null);
    assert_eq!(field.in_use(), (Value::Null, json!("1.0.0")), "the packaged models");
}

#[test]
fn what_is_analysed_is_analysed_by_the_version_in_use() {
    for (engine, ran) in [("ort", "onnxruntime"), ("tflite", "litert")] {
        let field = Field::new();
        field.release(2, &field.key, |_, model| model["labels"] = json!(["Visage"]));
        assert_eq!(field.activate(2).0, 0);
        let captured = field.place.capture(&cache().join("pictures/astronaut.png"));
        assert_eq!(field.json(&["analyse", "--engine", engine]).0, 0);
        let (exit, shown) = field.json(&["show", captured["id"].as_str().unwrap()]);
        assert_eq!(exit, 0);
        let findings = shown["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "the version has one model: {shown}");
        let words = findings[0].to_string();
        assert!(words.contains(FACES) && words.contains("Visage") && words.contains(ran), "{words}");
    }
}

#[test]
fn what_the_organisation_did_not_sign_is_refused_and_changes_nothing() {
    let field = Field::new();
    field.release(2, &field.key, |_, _| {});
    assert_eq!(field.activate(2).0, 0);
    // By the root, which is no key for models.
    field.release(3, &field.root, |_, _| {});
    assert_fails(|| field.activation(3), 1, "models_refused");
    // Older than what was accepted, and other bytes under the same version.
    field.release(1, &field.key, |_, _| {});
    assert_fails(|| field.activation(1), 1, "models_refused");
    field.release(2, &field.key, |_, model| model["title"] = json!("other bytes"));
    assert_fails(|| field.activation(2), 1, "models_refused");
    // A name that leaves the folder, with the right signature.
    field.release(4, &field.key, |_, model| model["variants"][0]["file"] = json!("../../passphrase"));
    assert_fails(|| field.activation(4), 1, "models_refused");
    // Changed since it was signed.
    field.release(5, &field.key, |_, _| {});
    let path = field.place.path("release-5/signed.json");
    let changed = fs::read_to_string(&path).unwrap().replace("\"version\":5", "\"version\":6");
    fs::write(&path, changed).unwrap();
    assert_fails(|| field.activation(5), 1, "models_refused");
    assert_eq!(field.in_use(), (json!(2), json!("2.0.0")));
    // Nobody's word at all, and another root's.
    let folder = field.place.path("release-5");
    let words =
        ["models", "activate", folder.join("signed.json").to_str().unwrap(), "--from", folder.to_str().unwrap()]
            .map(str::to_owned);
    assert_fails(|| field.command(&words.each_ref().map(String::as_str)), 1, "not_enrolled");
    let another = || {
        let mut command = field.command(&words.each_ref().map(String::as_str));
        command.arg("--trust").arg(field.place.path("trust.json")).args(["--trust-root", &sha256_hex(b"another")]);
        command
    };
    assert_fails(another, 1, "trust_not_chained");
}

#[test]
fn an_update_wants_an_account_and_a_quota_that_can_be_meant() {
    let field = Field::new();
    assert_fails(|| field.command(&["models", "update"]), 1, "not_enrolled");
    assert_fails(|| field.command(&["models", "list", "--models-quota-bytes", "10"]), 2, "invalid_argument");
    field.release(2, &field.key, |_, _| {});
    let mut tight = field.activation(2);
    tight.env("SNAPTRAK_MODELS_QUOTA_BYTES", "1048576");
    let (exit, answer) = one_object(run(tight.arg("--json")));
    assert_eq!(exit, 0, "one version fits: {answer}");
}

#[test]
fn damage_is_told_by_verify_and_the_version_before_is_used() {
    let field = Field::new();
    for version in [2, 3] {
        field.release(version, &field.key, |_, _| {});
        assert_eq!(field.activate(version).0, 0);
    }
    let (exit, answer) = field.verify();
    assert_eq!((exit, answer["schema"].as_str()), (0, Some("snaptrak.models_verify/1")));
    let versions = answer["versions"].as_array().unwrap();
    let told: Vec<_> =
        versions.iter().map(|version| (version["version"].as_u64(), version["signature_ok"].as_bool())).collect();
    assert_eq!(told, [(Some(2), Some(true)), (Some(3), Some(true)), (None, None)]);
    assert_fields(&versions[0], &["version", "ok", "signature_ok", "failure"]);

    let signed = field.place.store().join("models/3/signed.json");
    let good = fs::read(&signed).unwrap();
    fs::copy(field.place.store().join("models/2/signed.json"), &signed).unwrap();
    let (exit, answer) = field.verify();
    assert_eq!((exit, &answer["versions"][1]["signature_ok"]), (7, &json!(false)), "{answer}");
    fs::write(&signed, good).unwrap();
    fs::write(field.place.store().join("models/3/blazeface_back.onnx"), "other weights").unwrap();
    let (exit, answer) = field.verify();
    assert_eq!((exit, &answer["versions"][1]["ok"]), (7, &json!(false)), "{answer}");
    assert_eq!(field.in_use(), (json!(2), json!("2.0.0")));
    // And for a person.
    let told = run(&mut field.trusting(field.command(&["models", "verify"])));
    assert_eq!(told.exit, 7);
    let words = String::from_utf8(told.stdout).unwrap();
    assert!(words.contains("packaged") && words.contains("holds") && words.contains(FACES), "{words}");
}
