//! The seal loop beside `openssl speed -evp aes-256-gcm` on the same core.

use crate::{
    answer::Row,
    measure::{Better, Figure, pair, seconds},
};
use snaptrak_domain::{AssetId, limits::SEGMENT_BYTES};
use snaptrak_seal::{DataKey, PieceAddress, SegmentSealer};
use std::{error::Error, process::Command};

pub(super) const NAME: &str = "seal loop, 64 KiB segments";
/// Of OpenSSL's speed.
const TARGET: f64 = 0.95;
/// Sealed in a round of ours: about the second that OpenSSL's round takes.
const ROUND_BYTES: usize = 2 << 30;

pub(super) fn beside_openssl(rounds: usize) -> Result<Row, Box<dyn Error>> {
    let figure = Figure { name: NAME, unit: "GB/s", better: Better::Larger, target: Some(TARGET), rounds };
    pair(&figure, &mut ours, &mut openssl, None)
}

fn ours() -> Result<f64, Box<dyn Error>> {
    let random = snaptrak::SystemRandom;
    let key = DataKey::generate(&random)?;
    let mut segment = vec![0x5a_u8; SEGMENT_BYTES];
    let mut sealed = 0_usize;
    let took = seconds(|| {
        let mut index = 0;
        while sealed < ROUND_BYTES {
            let address = PieceAddress { asset_id: AssetId::from_bytes([1; 16]), index };
            let mut sealer = SegmentSealer::start(&key, address, &random)?;
            // A piece holds 512 segments.
            for number in 0..512 {
                let length = sealer.next_segment_bytes();
                std::hint::black_box(sealer.seal_in_place(&mut segment[..length], number == 511)?);
                sealed += length;
            }
            index += 1;
        }
        Ok(())
    })?;
    Ok(sealed as f64 / took / 1e9)
}

/// OpenSSL prints `+F:n:AES-256-GCM:bytes a second` with `-mr`.
fn openssl() -> Result<f64, Box<dyn Error>> {
    let arguments = ["speed", "-mr", "-seconds", "1", "-bytes", "65536", "-evp", "aes-256-gcm"];
    let output = Command::new("openssl").args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("+F:")).ok_or("openssl speed printed no figure")?;
    let figure: f64 = line.rsplit(':').next().unwrap_or_default().parse()?;
    Ok(figure / 1e9)
}
