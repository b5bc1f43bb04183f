//! Staged rollout: which models of a manifest are this device's.
//!
//! Owns the share that an entry may name and the rule by which a device is in it. Refuses to know where the device's id comes
//! from. The rule has no state: the same device, model and version give the same answer on every start, and a share that grows
//! takes nobody out.
//!
//! An entry of the manifest may say `"rollout": {"share": 2500, "replaces": "ssd_1"}`: a quarter of the devices have it, and
//! those have it in the place of `ssd_1`, which the others keep. So every device has exactly one of the two, out of one
//! manifest that is signed as a whole.

use super::manifest::{Manifest, ManifestError};
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use snaptrak_domain::DeviceId;
use std::collections::BTreeMap;

/// The share that means every device; shares are parts of this.
pub const SHARE_ALL: u16 = 10_000;

const LABEL: &[u8] = b"snaptrak.rollout/1\n";

/// What an entry says of its rollout.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Rollout {
    /// Of [`SHARE_ALL`].
    share: u16,
    /// The entry that this one stands for where it is there.
    #[serde(default)]
    replaces: Option<String>,
}

/// Of a manifest, what rollout needs; the rest is [`Manifest`]'s.
#[derive(Deserialize)]
struct Rollouts {
    models: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    rollout: Option<Rollout>,
}

/// Reads a manifest's bytes and leaves in it what this device is to have.
pub fn parse_for_device(bytes: &[u8], device_id: DeviceId) -> Result<Manifest, ManifestError> {
    let mut manifest = Manifest::parse(bytes)?;
    let Rollouts { models } = serde_json::from_slice(bytes).map_err(|source| ManifestError::Malformed { source })?;
    let rollouts: BTreeMap<String, Rollout> =
        models.into_iter().filter_map(|entry| Some((entry.id, entry.rollout?))).collect();
    check(&manifest, &rollouts)?;
    manifest.models.retain(|model| {
        rollouts.get(&model.id).is_none_or(|rollout| is_in_share(device_id, &model.id, &model.version, rollout.share))
    });
    let replaced: Vec<&String> =
        manifest.models.iter().filter_map(|model| rollouts.get(&model.id)?.replaces.as_ref()).collect();
    let kept = manifest.models.iter().map(|model| !replaced.contains(&&model.id)).collect::<Vec<_>>();
    let mut kept = kept.into_iter();
    manifest.models.retain(|_| kept.next().unwrap_or(true));
    Ok(manifest)
}

/// Whether a device has this version of a model when it is rolled out to `share` of [`SHARE_ALL`].
pub fn is_in_share(device_id: DeviceId, model_id: &str, version: &str, share: u16) -> bool {
    place(device_id, model_id, version) < u64::from(share)
}

/// The device's place among 10,000, another one for each model and version, so that the same devices are not always the first.
fn place(device_id: DeviceId, model_id: &str, version: &str) -> u64 {
    let mut digest = Context::new(&SHA256);
    digest.update(LABEL);
    digest.update(device_id.as_bytes());
    digest.update(model_id.as_bytes());
    // No id holds a zero byte: where the id ends is never in doubt.
    digest.update(&[0]);
    digest.update(version.as_bytes());
    let first = digest.finish().as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    first % u64::from(SHARE_ALL)
}

fn check(manifest: &Manifest, rollouts: &BTreeMap<String, Rollout>) -> Result<(), ManifestError> {
    let mut replaced = Vec::new();
    for (id, rollout) in rollouts {
        let invalid = |what| Err(ManifestError::Invalid { model_id: id.clone(), what });
        if rollout.share > SHARE_ALL {
            return invalid("its share is more than 10000");
        }
        let Some(other) = &rollout.replaces else { continue };
        // One for everyone, so that no device is left without either; this also rules out circles.
        if manifest.model(other).is_none() || rollouts.contains_key(other) {
            return invalid("it replaces a model that is not there for every device");
        }
        if replaced.contains(&other) {
            return invalid("it replaces a model that another one replaces");
        }
        replaced.push(other);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn device(number: u64) -> DeviceId {
        let mut bytes = [7; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        DeviceId::from_bytes(bytes)
    }

    fn shipped() -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/manifest.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn ids(manifest: &Value, device_id: DeviceId) -> Vec<String> {
        let manifest = parse_for_device(manifest.to_string().as_bytes(), device_id).unwrap();
        manifest.models.into_iter().map(|model| model.id).collect()
    }

    #[test]
    fn the_share_is_kept_over_many_devices() {
        const DEVICES: u64 = 20_000;
        for share in [0_u16, 1, 100, 2_500, 5_000, 9_999, SHARE_ALL] {
            let count =
                (0..DEVICES).filter(|number| is_in_share(device(*number), "ssd", "1.0.0", share)).count() as f64;
            let p = f64::from(share) / f64::from(SHARE_ALL);
            let expected = p * DEVICES as f64;
            // Five standard deviations of the binomial distribution; at the ends there is none.
            let tolerance = 5.0 * (expected * (1.0 - p)).sqrt();
            assert!((count - expected).abs() <= tolerance, "{share}: {count}, expected {expected} ± {tolerance}");
        }
    }

    #[test]
    fn a_share_that_grows_takes_nobody_out() {
        for number in 0..2_000 {
            let mut was_in = false;
            for share in (0..=SHARE_ALL).step_by(250) {
                let is_in = is_in_share(device(number), "ssd", "1.0.0", share);
                assert!(is_in || !was_in, "device {number} lost the model at {share}");
                was_in = is_in;
            }
            assert!(was_in, "everybody has what is for everybody");
        }
    }

    #[test]
    fn the_rule_is_the_same_in_every_version_of_this_software() {
        // SHA-256("snaptrak.rollout/1\n" | 16 bytes of 7 and the number | "ssd" | 0 | "1.0.0"), by Python's hashlib.
        let places: Vec<u64> = (0..3).map(|number| place(device(number), "ssd", "1.0.0")).collect();
        assert_eq!(places, PLACES);
    }

    const PLACES: [u64; 3] = [8795, 7095, 9524];

    #[test]
    fn models_are_drawn_independently() {
        let both = (0..10_000).filter(|number| {
            is_in_share(device(*number), "ssd", "1.0.0", 5_000) && is_in_share(device(*number), "ssd", "1.0.1", 5_000)
        });
        assert!((2_250..=2_750).contains(&both.count()), "about a quarter is in both halves");
    }

    #[test]
    fn a_device_has_the_new_model_or_the_one_that_it_replaces() {
        let mut manifest = shipped();
        let mut newer = manifest["models"][0].clone();
        newer["id"] = json!("ssd_2");
        newer["rollout"] = json!({"share": 5_000, "replaces": manifest["models"][0]["id"]});
        manifest["models"].as_array_mut().unwrap().push(newer);
        let (mut old, mut new) = (0, 0);
        for number in 0..200 {
            let ids = ids(&manifest, device(number));
            assert_eq!(ids.len(), 2, "{ids:?}");
            assert!(ids.contains(&"blazeface_back".to_owned()), "{ids:?}");
            if ids.contains(&"ssd_2".to_owned()) { new += 1 } else { old += 1 }
        }
        assert!(old > 50 && new > 50, "{old} {new}");
        manifest["models"][2]["rollout"]["share"] = json!(SHARE_ALL);
        assert!((0..200).all(|number| ids(&manifest, device(number)).contains(&"ssd_2".to_owned())));
    }

    #[test]
    fn a_rollout_that_cannot_be_is_refused() {
        let first = shipped()["models"][0]["id"].clone();
        for rollout in [
            json!({"share": 10_001}),
            json!({"share": 1, "replaces": "nothing"}),
            json!({"share": 1, "replaces": "blazeface_back"}),
            json!({"share": -1}),
            json!({}),
        ] {
            let mut manifest = shipped();
            manifest["models"][1]["rollout"] = rollout.clone();
            assert!(parse_for_device(manifest.to_string().as_bytes(), device(1)).is_err(), "{rollout}");
        }
        let mut manifest = shipped();
        for id in ["a", "b"] {
            let mut newer = manifest["models"][0].clone();
            newer["id"] = json!(id);
            newer["rollout"] = json!({"share": 1, "replaces": first});
            manifest["models"].as_array_mut().unwrap().push(newer);
        }
        assert!(parse_for_device(manifest.to_string().as_bytes(), device(1)).is_err(), "two replace one");
    }
}
