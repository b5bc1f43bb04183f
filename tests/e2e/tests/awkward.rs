//! What people hand to `capture` that is no picture: each its answer, and the queue goes on.

#![allow(clippy::unwrap_used)]

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use snaptrak_driver::{Station, captures};
use snaptrak_e2e::sha256_of;
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
};

fn taken_and_refused(station: &Station, paths: &[PathBuf], exit: i32) -> Value {
    let mut arguments = vec![OsString::from("capture")];
    arguments.extend(paths.iter().map(|path| path.clone().into_os_string()));
    let answer = station.client.ask(&arguments).unwrap();
    assert_eq!(answer.code, exit, "{} {}", answer.json, answer.words);
    answer.json
}

#[test]
fn each_awkward_file_gets_its_answer_and_the_queue_goes_on() {
    let station = Station::enrolled(&[]).unwrap();
    let photo = station.cache.picture("chelsea.png").unwrap();
    let folder = station.path("folder");
    fs::create_dir(&folder).unwrap();
    let fifo = station.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = station.path("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let refused = [
        (station.write("empty.jpg", b"").unwrap(), "empty_file"),
        (folder, "is_a_folder"),
        (fifo, "is_a_fifo"),
        ("/dev/null".into(), "is_a_device"),
        ("/dev/zero".into(), "is_a_device"),
        (socket, "is_a_device"),
        (station.path("missing"), "missing_path"),
        (photo.join("inside a file"), "missing_path"),
    ];
    // A name that is not UTF-8 (Latin-1), a link, and names that look like something else.
    let latin = station.path("").join(OsStr::from_bytes(b"caf\xe9.png"));
    fs::copy(&photo, &latin).unwrap();
    let link = station.path("link.png");
    std::os::unix::fs::symlink(&photo, &link).unwrap();
    let taken = [
        (station.write("words.jpg", b"no picture at all").unwrap(), "file"),
        (station.write("one-byte", b"x").unwrap(), "file"),
        (latin, "photo"),
        (link, "photo"),
        (station.cache.malformed("half.jpg").unwrap(), "photo"),
        (station.cache.malformed("truncated.png").unwrap(), "photo"),
        (station.cache.malformed("broken.png").unwrap(), "photo"),
        (station.cache.malformed("text_bomb.png").unwrap(), "photo"),
        (station.cache.malformed("exif_zero_division.jpg").unwrap(), "photo"),
        (station.cache.malformed("invalid_exif.jpg").unwrap(), "photo"),
        (station.cache.malformed("truncated.heic").unwrap(), "photo"),
        (photo.clone(), "photo"),
    ];
    let mut paths: Vec<PathBuf> = refused.iter().map(|(path, _)| path.clone()).collect();
    paths.extend(taken.iter().map(|(path, _)| path.clone()));
    let answer = taken_and_refused(&station, &paths, 1);

    let codes: Vec<&str> =
        answer["refused"].as_array().unwrap().iter().map(|refusal| refusal["code"].as_str().unwrap()).collect();
    assert_eq!(codes, refused.iter().map(|(_, code)| *code).collect::<Vec<_>>(), "{answer}");
    let got = captures(&answer);
    assert_eq!(got.len(), taken.len(), "{answer}");
    for (capture, (path, kind)) in got.iter().zip(&taken) {
        assert_eq!(capture.sha256, sha256_of(path), "{}", path.display());
        assert_eq!(&capture.kind, kind, "{}", path.display());
    }

    let analysed = station.client.ask(&["analyse"]).unwrap();
    assert_eq!((analysed.code, &analysed.json["left"]), (6, &json!(0)), "{} {}", analysed.json, analysed.words);
    assert!(analysed.json["analysed"].as_u64().unwrap() >= 3, "the whole ones are understood: {}", analysed.json);
    let windows = station.bring_everything().unwrap();
    assert_eq!(windows.last().unwrap().code, 0, "{}", windows.last().unwrap().json);
    station.check_held(&got).unwrap();
    for capture in &got {
        let out = station.path("out");
        station.client.tell(&["view", &capture.id, "-o", out.to_str().unwrap()]).unwrap();
        assert_eq!(sha256_of(&out), capture.sha256);
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let station = Station::new().unwrap();
    let secret = station.write("secret", b"not for us").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&secret).is_ok() {
        // Root reads everything; /proc has files that open and cannot be read, which is the same to a capture.
        let answer = taken_and_refused(&station, &["/proc/self/mem".into()], 1);
        assert_eq!(answer["refused"].as_array().map(Vec::len), Some(1), "{answer}");
        return;
    }
    let answer = taken_and_refused(&station, &[secret], 1);
    assert_eq!(answer["refused"][0]["code"], "unreadable");
}

/// 4 GiB; the short form keeps the gate short: what differs at 4 GiB are 32-bit counts, which `SNAPTRAK_LONG=1` tests.
fn sparse_bytes() -> u64 {
    if std::env::var_os("SNAPTRAK_LONG").is_some() { 4 * 1024 * 1024 * 1024 + 1 } else { 1024 * 1024 * 1024 + 1 }
}

#[test]
fn a_large_sparse_file_is_taken_in_pieces_and_verified() {
    let station = Station::enrolled(&[]).unwrap();
    let sparse = station.path("sparse");
    fs::File::create(&sparse).unwrap().set_len(sparse_bytes()).unwrap();
    let taken = station.capture(&[&sparse]).unwrap();
    assert_eq!(taken[0].bytes, sparse_bytes());
    let note = captures(&station.client.tell(&["note", "small and first"]).unwrap());
    let windows = station.bring_everything().unwrap();
    assert_eq!(windows.last().unwrap().code, 0, "{}", windows.last().unwrap().json);
    station.check_held(&taken).unwrap();
    station.check_held(&note).unwrap();
    let shown = station.client.tell(&["show", &taken[0].id]).unwrap();
    let pieces = shown["assets"][0]["pieces"].as_array().unwrap().len() as u64;
    assert_eq!(pieces, sparse_bytes().div_ceil(33_554_432));
}
