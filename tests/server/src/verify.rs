//! The verifier: opens everything that an asset consists of and compares it with what its device said.
//!
//! Pure but for reading files: the answer is a countersignature or a failure, and an error only where the server itself is at
//! fault, in which case the asset waits and is looked at again.

use crate::app::App;
use crate::database::{Failure, FailureCode, VerificationJob, devices, uploads};
use crate::error::Error;
use crate::finish_upload::sha256_of_file;
use crate::http::envelopes::{Opened, open};
use ring::digest;
use snaptrak_domain::Sha256Digest;
use snaptrak_seal::receipt::PUBLIC_KEY_BYTES;
use snaptrak_seal::{
    CountersignClaims, PieceAddress, PieceEntry, PieceError, PieceOpener, ReceiptClaims, SealedPiece,
    UntrustedEnvelope, UntrustedReceipt, countersign,
};
use std::fs::File;
use std::io;

/// What the verifier found.
pub(crate) enum Verdict {
    /// Everything fits; the signed statement.
    Verified(Vec<u8>),
    /// Something does not.
    Failed(Failure),
    /// The server stops; the asset waits for its next start.
    Interrupted,
}

/// Why looking ended early.
enum Stop {
    Failed(Failure),
    Interrupted,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Looks at one asset.
pub(crate) fn verify(app: &App, job: &VerificationJob) -> Result<Verdict, Error> {
    match check(app, job) {
        Ok(countersigned) => Ok(Verdict::Verified(countersigned)),
        Err(Stop::Failed(failure)) => Ok(Verdict::Failed(failure)),
        Err(Stop::Interrupted) => Ok(Verdict::Interrupted),
        Err(Stop::Error(error)) => Err(error),
    }
}

fn check(app: &App, job: &VerificationJob) -> Result<Vec<u8>, Stop> {
    let opened = open_envelope(app, job)?;
    check_stored_digests(app, job, &opened)?;
    let sha256 = open_pieces(app, job, &opened)?;
    let receipt = check_receipt(app, job, &opened)?;
    let claims = CountersignClaims {
        organisation_id: job.organisation_id,
        asset_id: job.asset_id,
        receipt,
        sha256: Some(sha256),
        bytes: opened.metadata.bytes,
        pieces: opened.envelope.content().pieces.clone(),
        wrap_key_id: opened.wrap_key_id,
        verified_ms: app.now(),
        server_id: app.organisation.server_id.clone(),
    };
    Ok(countersign(&claims, app.organisation.countersigner()).map_err(Error::key)?)
}

fn open_envelope(app: &App, job: &VerificationJob) -> Result<Opened, Stop> {
    let unreadable = || failed(FailureCode::EnvelopeUnreadable, None);
    if job.organisation_id != app.organisation.id {
        return Err(Error::Contradiction { what: "an asset of another organisation" }.into());
    }
    let untrusted = UntrustedEnvelope::parse(&job.envelope).map_err(|_| unreadable())?;
    let opened = open(untrusted, &app.organisation).map_err(|_| unreadable())?;
    if opened.envelope.content().asset_id == job.asset_id { Ok(opened) } else { Err(unreadable()) }
}

/// Before the work of opening: every listed piece is here, and is the one that was listed.
fn check_stored_digests(app: &App, job: &VerificationJob, opened: &Opened) -> Result<(), Stop> {
    let stored = app.database.read_now(|transaction| uploads::stored(transaction, job.asset_id))?;
    for entry in &opened.envelope.content().pieces {
        let upload = stored.iter().find(|upload| upload.piece_index == entry.index);
        let same = upload.is_some_and(|upload| {
            upload.sealed_sha256 == entry.sealed_sha256 && upload.sealed_bytes == entry.sealed_bytes
        });
        if !same {
            return Err(failed(FailureCode::SealedMismatch, Some(entry.index)));
        }
    }
    Ok(())
}

/// Opens every piece as a stream; the digest of the whole plaintext.
fn open_pieces(app: &App, job: &VerificationJob, opened: &Opened) -> Result<Sha256Digest, Stop> {
    let mut whole = digest::Context::new(&digest::SHA256);
    for (entry, plain) in opened.envelope.content().pieces.iter().zip(&opened.metadata.pieces) {
        let piece = open_piece(app, job, opened, entry, &mut whole)?;
        if piece.sealed_sha256 != entry.sealed_sha256 {
            return Err(failed(FailureCode::SealedMismatch, Some(entry.index)));
        }
        if piece.bytes != plain.bytes || piece.sha256 != plain.sha256 {
            return Err(failed(FailureCode::PlaintextMismatch, Some(entry.index)));
        }
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(whole.finish().as_ref());
    let sha256 = Sha256Digest(sha256);
    if opened.metadata.sha256 == Some(sha256) { Ok(sha256) } else { Err(failed(FailureCode::PlaintextMismatch, None)) }
}

fn open_piece(
    app: &App,
    job: &VerificationJob,
    opened: &Opened,
    entry: &PieceEntry,
    whole: &mut digest::Context,
) -> Result<SealedPiece, Stop> {
    let path = app.folder.piece(job.asset_id, entry.index);
    let sealed_mismatch = || failed(FailureCode::SealedMismatch, Some(entry.index));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(sealed_mismatch()),
        Err(source) => return Err(Error::File { action: "open", path, source }.into()),
    };
    let address = PieceAddress { asset_id: job.asset_id, index: entry.index };
    let sink = |plain: &[u8]| {
        whole.update(plain);
        if app.is_stopping() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    };
    let opened = PieceOpener::open(file, &opened.data_key, address).and_then(|mut opener| opener.open_all(sink));
    match opened {
        Ok(piece) => Ok(piece),
        Err(PieceError::Write { .. }) => Err(Stop::Interrupted),
        Err(PieceError::Read { source }) => Err(Error::File { action: "read", path, source }.into()),
        // Damage on this server's disk and a wrong upload differ in the sealed digest alone.
        Err(_) if sha256_of_file(&path)? != Some(entry.sealed_sha256) => Err(sealed_mismatch()),
        Err(_) => Err(failed(FailureCode::PlaintextMismatch, Some(entry.index))),
    }
}

/// The receipt is signed by a key of its device and says what the envelope says; the digest of its payload.
fn check_receipt(app: &App, job: &VerificationJob, opened: &Opened) -> Result<Sha256Digest, Stop> {
    let invalid = || failed(FailureCode::ReceiptInvalid, None);
    let untrusted = UntrustedReceipt::parse(&job.device_receipt).map_err(|_| invalid())?;
    let (key_id, payload_sha256) = (untrusted.key_id(), untrusted.payload_sha256());
    let key = app.database.read_now(|transaction| devices::signing_key(transaction, job.device_id, &key_id))?;
    let key: [u8; PUBLIC_KEY_BYTES] = key.ok_or_else(invalid)?.try_into().map_err(|_| invalid())?;
    let claims = untrusted.verify(&key).map_err(|_| invalid())?;
    if agrees(&claims, job, opened) { Ok(payload_sha256) } else { Err(invalid()) }
}

fn agrees(claims: &ReceiptClaims, job: &VerificationJob, opened: &Opened) -> bool {
    claims.asset_id == job.asset_id
        && claims.capture_id == job.capture_id
        && claims.device_id == job.device_id
        && claims.rendition == job.rendition
        && claims.bytes == opened.metadata.bytes
        && Some(claims.sha256) == opened.metadata.sha256
        && claims.pieces == opened.envelope.content().pieces
}

fn failed(code: FailureCode, piece: Option<u32>) -> Stop {
    Stop::Failed(Failure { code, piece })
}
