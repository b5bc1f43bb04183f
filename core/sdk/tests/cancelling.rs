//! Long calls that are broken off: what was asked for is there as a whole or not at all, and the next call goes on.
#![allow(clippy::unwrap_used)]

use snaptrak::{CancelToken, CaptureOptions, Config, Error, ErrorCode, Platform, PurgeOptions, Quiet, SnapTrak};
use snaptrak_testkit::FixedKeyStore;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const MIB: usize = 1 << 20;

fn create(folder: &Path) -> SnapTrak {
    SnapTrak::create(Config::new(folder), Platform::system(Arc::new(FixedKeyStore::new([1; 32])))).unwrap()
}

fn code<T>(result: Result<T, Error>) -> ErrorCode {
    result.err().unwrap().code()
}

fn cancelled() -> CancelToken {
    let cancel = CancelToken::new();
    cancel.cancel();
    cancel
}

fn listed(instance: &SnapTrak) -> usize {
    instance.list(None, 100, None).unwrap().captures.len()
}

/// Files of sealed bytes.
fn sealed(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sealed(&path));
        } else if path.extension().is_some_and(|extension| extension == "piece") {
            found.push(path);
        }
    }
    found
}

/// Zeros without end, whose reader cancels once so many bytes were taken.
struct CancelledAfter {
    left: usize,
    cancel: CancelToken,
}

impl Read for CancelledAfter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(4_096);
        buffer[..count].fill(0);
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.cancel.cancel();
        }
        Ok(count)
    }
}

#[test]
fn a_capture_that_is_broken_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let instance = create(&path);
    // In the head that is looked at, in the first piece, and after pieces that are complete.
    for left in [1, 300_000, 20 * MIB] {
        let cancel = CancelToken::new();
        let mut source = CancelledAfter { left, cancel: cancel.clone() };
        let captured = instance.capture_reader_until(&mut source, CaptureOptions::default(), &cancel);
        assert_eq!(code(captured), ErrorCode::Cancelled, "after {left} bytes");
        assert_eq!((listed(&instance), sealed(&path)), (0, vec![]), "after {left} bytes");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7; MIB]).unwrap();
    assert_eq!(code(instance.capture_file_until(&file, CaptureOptions::default(), &cancelled())), ErrorCode::Cancelled);
    assert_eq!(listed(&instance), 0);
    instance.capture_file_until(&file, CaptureOptions::default(), &CancelToken::new()).unwrap();
    assert_eq!(listed(&instance), 1, "and the next one is captured");
    instance.close().unwrap();
}

/// Ends after its bytes, and cancels when it says so.
struct CancelledAtItsEnd<'a>(&'a [u8], CancelToken);

impl Read for CancelledAtItsEnd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            self.1.cancel();
        }
        self.0.read(buffer)
    }
}

#[test]
fn what_was_read_to_its_end_is_a_capture_whatever_the_token_says() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    for bytes in [&b"a few"[..], &vec![3; 300_000]] {
        let cancel = CancelToken::new();
        let mut source = CancelledAtItsEnd(bytes, cancel.clone());
        let captured = instance.capture_reader_until(&mut source, CaptureOptions::default(), &cancel).unwrap();
        assert!(cancel.is_cancelled());
        let mut seen = Vec::new();
        instance.view(captured.capture_id, &mut seen).unwrap();
        assert!(seen == bytes);
    }
    instance.close().unwrap();
}

/// Takes what it is given, and cancels with the first of it.
struct CancellingWriter(Vec<u8>, CancelToken);

impl Write for CancellingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.cancel();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_view_ends_within_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    let captured = instance.capture_reader(&mut &vec![5; 3 * MIB][..], CaptureOptions::default()).unwrap();
    let mut out = CancellingWriter(Vec::new(), CancelToken::new());
    let cancel = out.1.clone();
    assert_eq!(code(instance.view_until(captured.capture_id, &mut out, &cancel)), ErrorCode::Cancelled);
    assert_eq!(out.0.len(), MIB);
    let mut whole = Vec::new();
    assert_eq!(instance.view(captured.capture_id, &mut whole).unwrap(), captured.sha256);
    instance.close().unwrap();
}

#[test]
fn a_check_of_receipts_a_fetch_and_a_purge_that_nobody_wants_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let instance = create(&folder.path().join("store"));
    instance.note("a note", CaptureOptions::default()).unwrap();
    let captured = instance.capture_reader(&mut &[5; 300_000][..], CaptureOptions::default()).unwrap();
    assert_eq!(code(instance.verify_until(&cancelled())), ErrorCode::Cancelled);
    let of_this = || PurgeOptions { captures: vec![captured.capture_id], to_free_bytes: None };
    for options in [of_this(), PurgeOptions::default()] {
        assert_eq!(code(instance.purge_until(options, &cancelled())), ErrorCode::Cancelled);
    }
    assert_eq!(code(instance.fetch_until(captured.capture_id, &Quiet, &cancelled())), ErrorCode::Cancelled);
    assert_eq!(instance.verify_until(&CancelToken::new()).unwrap().receipts, 2);
    assert_eq!(instance.purge_until(of_this(), &CancelToken::new()).unwrap().kept_count, 1);
    instance.close().unwrap();
}
