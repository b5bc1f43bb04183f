//! Memory does not grow with what is captured and sent.

#![allow(clippy::unwrap_used)]

use snaptrak_driver::Station;
use snaptrak_faults::{Running, peak_bytes};

const MEBIBYTE: u64 = 1024 * 1024;

/// What a large file may cost more than a small one.
const GROWTH_BYTES_MAX: u64 = 48 * MEBIBYTE;

const SMALL_BYTES: u64 = MEBIBYTE;

/// 32 pieces: ten times what is ever in flight.
const LARGE_BYTES: u64 = 1024 * MEBIBYTE;

/// Peaks of capturing and of sending one file of so many bytes.
fn peaks(bytes: u64) -> [u64; 2] {
    let station = Station::enrolled(&[]).unwrap();
    let file = station.write_noise("file", bytes, 7).unwrap();
    let (capturing, answer) = peak_bytes(Running::start(&station.client, &["capture", file.to_str().unwrap()]));
    assert_eq!(answer.code, 0, "{answer:?}");
    std::fs::remove_file(&file).unwrap();
    let taken = snaptrak_driver::captures(&answer.json);
    let (sending, answer) = peak_bytes(Running::start(&station.client, &["sync"]));
    assert_eq!(answer.code, 0, "{answer:?}");
    station.check_held(&taken).unwrap();
    let out = station.path("out");
    let view = Running::start(&station.client, &["view", &taken[0].id, "-o", out.to_str().unwrap()]);
    let (_, answer) = peak_bytes(view);
    assert_eq!(answer.json["sha256"], taken[0].sha256.as_str());
    [capturing, sending]
}

#[test]
#[expect(clippy::print_stdout, reason = "figures for whoever runs this with --nocapture")]
fn a_large_file_costs_no_more_memory_than_a_small_one() {
    let (small, large) = (peaks(SMALL_BYTES), peaks(LARGE_BYTES));
    for (what, small, large) in [("capturing", small[0], large[0]), ("sending", small[1], large[1])] {
        let mebibytes = |bytes: u64| bytes as f64 / MEBIBYTE as f64;
        println!("{what}: {:.1} MiB for a small file, {:.1} MiB for a large one", mebibytes(small), mebibytes(large));
        assert!(small > 0 && large < small + GROWTH_BYTES_MAX, "{what}: {small} bytes, then {large}");
    }
}
