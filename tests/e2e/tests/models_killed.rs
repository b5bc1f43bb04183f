//! A device whose process is killed at any moment of an update, or of an activation from a folder: what is in use is whole, and the
//! next update gets through.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a trial: what it saw is worth reading after a failure")]

use serde_json::Value;
use snaptrak_driver::{Publisher, Release, Station};
use std::{
    process::Child,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

/// Kills; spread over an update's time, one a version.
const ROUNDS: u64 = 10;
/// What a version has beside its weights, so that its download takes a part of that time.
const PADDING: usize = 4_000_000;
/// Where in an update's time its work begins: before it, a passphrase becomes a key.
const BEGINS: f64 = 0.4;
/// For where in its part of the time each kill comes.
const SEED: u64 = 0x5eed;

fn update(station: &Station) -> Child {
    station.client.command(&["models", "update"]).spawn().unwrap()
}

fn activate(station: &Station, release: &Release) -> Child {
    let (signed, from) = (release.folder.join("signed.json"), release.folder.as_os_str());
    let words = ["models".as_ref(), "activate".as_ref(), signed.as_os_str(), "--from".as_ref(), from];
    station.client.command(&words).spawn().unwrap()
}

/// Between 0 and 1 (D. Knuth's MMIX constants).
fn chance(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f64 / (1_u64 << 24) as f64
}

fn wait(duration: Duration) {
    let (_silent, never) = channel::<()>();
    never.recv_timeout(duration).unwrap_err();
}

#[test]
fn whenever_an_update_is_killed_what_is_in_use_is_whole_and_the_next_one_succeeds() {
    let mut station = Station::enrolled(&[]).unwrap();
    let publisher = Publisher::of(&mut station, &[]).unwrap();
    let publish = |version| {
        let release = publisher.release(version, PADDING).unwrap();
        publisher.publish(&release).unwrap();
        release
    };
    publish(1);
    #[expect(clippy::disallowed_methods, reason = "how long an update takes here, to spread the kills over it")]
    let began = Instant::now();
    assert!(update(&station).wait().unwrap().success());
    let whole = began.elapsed();

    let (mut state, mut killed, mut seen) = (SEED, 0, Vec::new());
    for round in 0..ROUNDS {
        let version = round + 2;
        let release = publish(version);
        let mut child = if round % 2 == 0 { update(&station) } else { activate(&station, &release) };
        let share = BEGINS + (1.0 - BEGINS) * (round as f64 + chance(&mut state)) / ROUNDS as f64;
        wait(whole.mul_f64(share));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();

        let moment = format!("seed {SEED}, round {round}, killed at {share:.2} of {whole:?}");
        let verified = station.client.ask(&["models", "verify"]).unwrap();
        assert_eq!(verified.code, 0, "{moment}: {}", verified.json);
        let list = station.client.tell(&["models", "list"]).unwrap();
        let in_use = list["in_use"].as_u64().unwrap();
        assert!(in_use == version || in_use == version - 1, "{moment}: {in_use}");
        let arrived = std::fs::read_dir(station.client.store.join("models/downloads")).into_iter().flatten().count();
        seen.push((in_use == version, arrived, list["refused"]["because"].clone()));

        let next = station.client.ask(&["models", "update"]).unwrap();
        assert_eq!(next.code, 0, "{moment}: {}", next.json);
        let list = station.client.tell(&["models", "list"]).unwrap();
        assert_eq!((&list["in_use"], &list["refused"]), (&version.into(), &Value::Null), "{moment}");
    }
    assert!(killed > 0, "every update had ended before it was killed");
    println!("{killed} of {ROUNDS} killed at work; (activated, files that had arrived, refused): {seen:?}");
}
