//! The one place that prints. Answers go to standard output, words for people to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the binary's one place that prints")]

use serde_json::json;
use snaptrak_domain::Sha256Digest;
use snaptrak_server::{Error, PublishedModels, RunningServer, TrustRoot};
use std::path::Path;

/// The first line of a server: scripts wait for it.
pub(crate) fn listening(server: &RunningServer) {
    println!("{{\"listening\": \"{}\"}}", server.url);
    eprintln!("trust root: {}", server.root_fingerprint);
    if let Some(root) = &server.made_root {
        eprintln!("clients need: --trusted-root {}", root.display());
    }
}

pub(crate) fn exported(output: &Path, key_id: &Sha256Digest, json: bool) {
    if json {
        println!(
            "{}",
            json!({ "schema": "snaptrak.upload-key/1", "file": output.to_string_lossy(), "key_id": key_id })
        );
    } else {
        println!("{}", output.display());
    }
    eprintln!("whoever holds this file opens everything that the organisation was sent");
}

pub(crate) fn rotated(key_id: &Sha256Digest, json: bool) {
    if json {
        println!("{}", json!({ "schema": "snaptrak.upload-key/1", "key_id": key_id }));
    } else {
        println!("{key_id}");
    }
    eprintln!("a running server serves the new key from its next start on");
}

pub(crate) fn recovery_key(output: &Path, key_id: &Sha256Digest, json: bool) {
    if json {
        println!(
            "{}",
            json!({ "schema": "snaptrak.recovery-key/1", "file": output.to_string_lossy(), "key_id": key_id })
        );
    } else {
        println!("{}", output.display());
    }
    eprintln!("keep this file away from the server: it opens what a lost device had captured, and exists only once");
}

pub(crate) fn models_key(key_id: &Sha256Digest, json: bool) {
    if json {
        println!("{}", json!({ "schema": "snaptrak.models-key/1", "key_id": key_id }));
    } else {
        println!("{key_id}");
    }
    eprintln!("a running server serves the key from its next start on");
}

pub(crate) fn published(published: &PublishedModels, json: bool) {
    let PublishedModels { version, files, bytes } = published;
    if json {
        let schema = "snaptrak.models-published/1";
        println!("{}", json!({ "schema": schema, "version": version, "files": files, "bytes": bytes }));
    } else {
        println!("version {version}: {files} files, {bytes} bytes");
    }
}

pub(crate) fn trust_root(root: &TrustRoot, json: bool) {
    if json {
        let schema = "snaptrak.trust-root/1";
        println!(
            "{}",
            json!({ "schema": schema, "organisation": root.organisation_id, "fingerprint": root.fingerprint })
        );
    } else {
        println!("{}", root.fingerprint);
    }
}

pub(crate) fn error(error: &Error) {
    eprintln!("snaptrak-server: {error}");
}
