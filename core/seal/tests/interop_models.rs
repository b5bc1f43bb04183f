//! PyPI's cryptography verifies the manifests of models that this crate signs, and signs one that this crate accepts.

#![allow(clippy::unwrap_used)]

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use snaptrak_domain::{OrganisationId, UnixMs};
use snaptrak_seal::{
    KeyState, ModelsClaims, RoleKey, RoleKeys, RootKey, RootPublic, TrustBody, accept_models, sign_models,
};

#[path = "../../../tests/interop/judges.rs"]
mod judges;

const NOW: UnixMs = UnixMs(1_795_000_000_000);

#[test]
fn cryptography_verifies_our_signed_manifests_and_we_accept_its_own_and_nothing_that_was_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = RootKey::from_seed(&[0x5a; 32]);
    let organisation_id = OrganisationId::from_bytes([4; 16]);
    let trust = TrustBody {
        organisation_id,
        version: 1,
        issued_ms: UnixMs(0),
        expires_ms: UnixMs(NOW.0 + 1),
        root: RootPublic { public: RootKey::from_seed(&[1; 32]).public().to_vec() },
        roles: RoleKeys { models: vec![RoleKey::for_ed25519(&key.public(), KeyState::Active)], ..RoleKeys::default() },
    };
    let claims = |version, issued_ms| {
        let (issued_ms, expires_ms) = (UnixMs(issued_ms), UnixMs(NOW.0 + 1_000));
        ModelsClaims { organisation_id, version, issued_ms, expires_ms }
    };
    let said = |claims: &ModelsClaims| {
        json!({"organisation_id": claims.organisation_id, "version": claims.version, "issued_ms": claims.issued_ms,
               "expires_ms": claims.expires_ms})
    };
    let manifests: [&[u8]; 3] = [b"", b"{ \"schema\":\"snaptrak.models/1\" }\r\n", &[0xff; 70_000]];
    let cases: Vec<_> = manifests
        .into_iter()
        .zip([claims(1, 0), claims(u64::MAX, 1), claims(3, NOW.0)])
        .map(|(manifest, claims)| {
            json!({"public": STANDARD.encode(key.public()), "signed": sign_models(&claims, manifest, &key).unwrap(),
                   "manifest": STANDARD.encode(manifest), "claims": said(&claims)})
        })
        .collect();
    let asked =
        json!({"cases": cases, "seed": STANDARD.encode(key.seed().expose()), "claims": said(&claims(7, NOW.0 - 1))});
    std::fs::write(folder.path().join("models.json"), asked.to_string()).unwrap();

    let verdict = judges::judge("judge_models.py", &[folder.path()]);
    assert!(verdict.clean, "{}", verdict.said);
    assert_eq!(verdict.said["verified"], 3);

    let accept = |name: &str| accept_models(&std::fs::read(folder.path().join(name)).unwrap(), &trust, None, NOW);
    let made = accept("made.json").unwrap();
    assert_eq!(made.manifest, std::fs::read(folder.path().join("made.manifest")).unwrap());
    assert_eq!(made.claims, claims(7, NOW.0 - 1));
    let refuse = verdict.said["refuse"].as_array().unwrap();
    assert!(refuse.len() >= 16, "{refuse:?}");
    for (number, name) in refuse.iter().enumerate() {
        assert!(accept(&format!("refuse/{number:02}.json")).is_err(), "accepted: {name}");
    }
}
