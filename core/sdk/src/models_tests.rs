//! Keys that have run out: nothing new is taken, and what is in use stays in use.

use crate::{ActivateModels, Config, ErrorCode, Platform, SnapTrak};
use snaptrak_domain::queue_store::{Enrolment, QueueStore};
use snaptrak_domain::{AccountId, Clock, DeviceId, OrganisationId, UnixMs};
use snaptrak_inference::registry::{Accepted, Candidate, Release};
use snaptrak_seal::{
    KeyState, ModelsClaims, RoleKey, RoleKeys, RootKey, RootPublic, TrustBody, open_models, sign_models,
    sign_trust_bundle,
};
use snaptrak_testkit::{FakeClock, FixedKeyStore};
use std::{fs, path::Path, sync::Arc};

/// How long the bundle is good for.
const TRUST_LASTS_MS: i64 = 1_000;

struct Field {
    folder: tempfile::TempDir,
    instance: SnapTrak,
    clock: Arc<FakeClock>,
    key: RootKey,
    trust: TrustBody,
}

impl Field {
    /// An enrolled device.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::new());
        let platform = Platform {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Platform::system(Arc::new(FixedKeyStore::new([1; 32])))
        };
        let instance = SnapTrak::create(Config::new(folder.path().join("store")), platform).unwrap();
        let (root, key) = (RootKey::from_seed(&[1; 32]), RootKey::from_seed(&[2; 32]));
        let trust = TrustBody {
            organisation_id: OrganisationId::from_bytes([4; 16]),
            version: 1,
            issued_ms: UnixMs(0),
            expires_ms: UnixMs(clock.now().0 + TRUST_LASTS_MS),
            root: RootPublic { public: root.public().to_vec() },
            roles: RoleKeys {
                models: vec![RoleKey::for_ed25519(&key.public(), KeyState::Active)],
                ..RoleKeys::default()
            },
        };
        let enrolment = Enrolment {
            server: "http://127.0.0.1:9".to_owned(),
            account_id: AccountId::from_bytes([1; 16]),
            organisation_id: trust.organisation_id,
            device_id: DeviceId::from_bytes([2; 16]),
            trust_root: root.fingerprint(),
            trust_root_given: true,
        };
        let bundle = sign_trust_bundle(&trust, &[&root]).unwrap();
        instance.inner.store.save_enrolment(&enrolment, bundle.as_bytes()).unwrap();
        Self { folder, instance, clock, key, trust }
    }

    /// A signed version of one model, whose file is in the field's folder.
    fn release(&self, version: u64) -> Release {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/manifest.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        manifest["models"].as_array_mut().unwrap().truncate(1);
        manifest["models"][0]["variants"].as_array_mut().unwrap().truncate(1);
        let weights = format!("weights {version}");
        let variant = &mut manifest["models"][0]["variants"][0];
        variant["bytes"] = serde_json::json!(weights.len());
        variant["sha256"] = serde_json::json!(snaptrak_seal::sha256(weights.as_bytes()));
        fs::write(self.folder.path().join(variant["file"].as_str().unwrap()), weights).unwrap();
        let claims = ModelsClaims {
            organisation_id: self.trust.organisation_id,
            version,
            issued_ms: UnixMs(0),
            expires_ms: UnixMs(i64::MAX),
        };
        let manifest = manifest.to_string().into_bytes();
        let signed = sign_models(&claims, &manifest, &self.key).unwrap().into_bytes();
        let sha256 = open_models(&signed, &self.trust).unwrap().accepted.body_sha256;
        Release { accepted: Accepted { version, sha256 }, manifest, signed }
    }

    fn activate(&self, release: &Release) -> ErrorCode {
        let request =
            ActivateModels { signed: release.signed.clone(), files: self.folder.path().to_owned(), trust: None };
        self.instance.activate_models(&request).unwrap_err().code()
    }
}

#[test]
fn under_keys_that_have_run_out_nothing_new_is_taken_and_what_is_in_use_stays() {
    let field = Field::new();
    let works = |_: &Path, _: &Candidate| Ok(());
    let first = field.release(1);
    field.instance.registry().unwrap().activate(&first, field.folder.path(), &works).unwrap();
    let second = field.release(2);
    field.clock.advance_ms(TRUST_LASTS_MS - 1);
    assert_eq!(field.activate(&second), ErrorCode::EngineMissing, "all that it lacks is an engine for its self-test");
    field.clock.advance_ms(1);
    assert_eq!(field.activate(&second), ErrorCode::TrustExpired);
    let error = field.instance.trust_in_force(None).unwrap_err();
    assert!(error.message().contains("stay in use") && error.next().contains("renew"), "{}", error.message());

    let report = field.instance.models().unwrap();
    assert_eq!((report.in_use, report.newest, report.refused), (Some(1), Some(1), None));
    assert_eq!(field.instance.models_in_use().unwrap().manifest.models.len(), 1);
    // The weights of the second lie where those of the first came from; its own copy is whole.
    let verified = field.instance.verify_models(None).unwrap();
    let version = &verified.versions[0];
    assert_eq!((version.signature_ok, version.failure.as_deref()), (Some(true), None));

    // There is nothing before it and nothing packaged: a rollback leads to no models, and is no error.
    let report = field.instance.rollback_models().unwrap();
    assert_eq!((report.in_use, report.models.len()), (None, 0));
    assert_eq!(report.refused, Some((1, "rolled_back")));
}

#[test]
fn a_quota_that_is_a_mistake_in_its_unit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let platform = || Platform::system(Arc::new(FixedKeyStore::new([1; 32])));
    let config = Config { models_quota_bytes: 1_000, ..Config::new(folder.path().join("store")) };
    let refused = SnapTrak::create(config, platform()).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert_eq!(Config::new("store").models_quota_bytes, 1 << 30);
}

#[test]
fn every_outcome_has_a_word_of_its_own() {
    let mut words: Vec<&str> = crate::UpdateOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), crate::UpdateOutcome::ALL.len());
}
