//! A device that reaches its server over a wire, and sums of what went over it.

use snaptrak_driver::{Answer, Captured, Station, Wire};

/// A device that belongs to an account of a running server and reaches it over a wire alone.
pub fn wired(server_options: &[&str]) -> (Station, Wire) {
    let mut station = Station::new().unwrap();
    station.start_server(server_options).unwrap();
    let wire = Wire::to(station.address()).unwrap();
    station.enrol(&wire.url()).unwrap();
    (station, wire)
}

/// Bytes of the sealed pieces of these captures.
pub fn sealed_bytes(station: &Station, captures: &[Captured]) -> u64 {
    let of_one = |capture: &Captured| -> u64 {
        let shown = station.client.tell(&["show", &capture.id]).unwrap();
        let pieces = shown["assets"][0]["pieces"].as_array().unwrap().clone();
        pieces.iter().map(|piece| piece["bytes"].as_u64().unwrap()).sum()
    };
    captures.iter().map(of_one).sum()
}

/// Bytes that these windows sent.
pub fn sent_bytes(windows: &[Answer]) -> u64 {
    windows.iter().map(|window| window.json["bytes_sent"].as_u64().unwrap()).sum()
}
