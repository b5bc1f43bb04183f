//! Bringing purged bytes back: piece after piece into files of the store, each believed by its digest alone.
//!
//! A connection that breaks after it has brought something is made again at once and goes on where it broke off; one that
//! brings nothing ends the fetch, and what has arrived waits for the next. Bytes that the server changed replace nothing. A
//! piece that the server does not hold any more is set aside as lost, and said.

use snaptrak_domain::fetch_store::{FetchStore, FetchTarget, PurgedPiece};
use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::transport::{IntoFile, Response, TransferError};
use snaptrak_domain::{AssetId, AssetState, CancelToken};

use crate::api::{ApiError, Call, pieces};
use crate::client::SyncClient;
use crate::error::SyncError;
use crate::line::Line;
use crate::origin::Origin;
use crate::session::{self, OnUnauthorised, Session};

/// Times that one request is sent again after a 401: for a token that expired, and for one that expired while it waited.
const UNAUTHORISED_MAX: u8 = 2;

/// Rounds of one fetch: a chore that carries out an old tombstone between two pieces takes one away, once.
const ROUNDS_MAX: u8 = 2;

/// How far a fetch has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Pieces that are in their place.
    pub pieces_done: u64,
    /// Pieces that were purged.
    pub pieces_total: u64,
    /// Sealed bytes of the former.
    pub bytes_done: u64,
    /// Sealed bytes of all of them.
    pub bytes_total: u64,
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Pieces that came from the server in this call.
    pub pieces: u64,
    /// Their sealed bytes, without what an earlier attempt had brought.
    pub bytes: u64,
    /// Where the asset stands; `None`: nothing of it was purged.
    pub state: Option<AssetState>,
}

/// One piece's way back.
enum Brought {
    InPlace { bytes: u64 },
    OtherBytes,
}

struct Errand<'a> {
    line: Line<'a>,
    origin: Origin,
    session: Session<'a>,
    client: &'a SyncClient,
    store: &'a dyn FetchStore,
    asset_id: AssetId,
}

pub(crate) fn fetch(
    client: &SyncClient,
    store: &dyn FetchStore,
    asset_id: AssetId,
    cancel: &CancelToken,
    watch: &dyn Fn(FetchProgress),
) -> Result<Fetched, SyncError> {
    let mut fetched = Fetched { pieces: 0, bytes: 0, state: None };
    if store.purged_pieces(asset_id)?.is_empty() {
        return Ok(fetched);
    }
    let mut errand = Errand::open(client, store, asset_id, cancel)?;
    for round in 1..=ROUNDS_MAX {
        errand.all(&mut fetched, watch)?;
        match store.finish_fetch(asset_id, client.parts.clock.now()) {
            Err(QueueError::Missing { .. }) if round < ROUNDS_MAX => {}
            finished => {
                fetched.state = Some(finished?);
                break;
            }
        }
    }
    tracing::info!(%asset_id, pieces = fetched.pieces, bytes = fetched.bytes, "fetched back");
    Ok(fetched)
}

impl<'a> Errand<'a> {
    fn open(
        client: &'a SyncClient,
        store: &'a dyn FetchStore,
        asset_id: AssetId,
        cancel: &'a CancelToken,
    ) -> Result<Self, SyncError> {
        let enrolment = client.parts.store.enrolment()?.ok_or(SyncError::NotEnrolled)?;
        let session = session::saved(client, &enrolment)?.ok_or(SyncError::SignedOut)?;
        let origin = Origin::parse(&enrolment.server)?;
        let mut errand = Self { line: client.line(cancel), origin, session, client, store, asset_id };
        if errand.session.ends_soon(client.parts.clock.now()) {
            errand.refresh()?;
        }
        Ok(errand)
    }

    fn all(&mut self, fetched: &mut Fetched, watch: &dyn Fn(FetchProgress)) -> Result<(), SyncError> {
        let purged = self.store.purged_pieces(self.asset_id)?;
        let mut progress = FetchProgress {
            pieces_total: purged.len() as u64,
            bytes_total: purged.iter().map(|piece| piece.sealed_bytes).sum(),
            ..FetchProgress::default()
        };
        for piece in &purged {
            watch(progress);
            if let Some(bytes) = self.piece(piece)? {
                fetched.pieces += 1;
                fetched.bytes += bytes;
            }
            progress.pieces_done += 1;
            progress.bytes_done += piece.sealed_bytes;
        }
        watch(progress);
        Ok(())
    }

    /// Brings one piece into its place; the bytes that it took, `None` if it was there.
    fn piece(&mut self, piece: &PurgedPiece) -> Result<Option<u64>, SyncError> {
        let Some(mut target) = self.store.fetch_target(self.asset_id, piece)? else { return Ok(None) };
        let resumed = target.held_bytes > 0;
        match self.bring(piece, target)? {
            Brought::InPlace { bytes } => return Ok(Some(bytes)),
            // The fault may lie in what an earlier attempt left: once more, from the beginning.
            Brought::OtherBytes if resumed => {}
            Brought::OtherBytes => return Err(SyncError::OtherBytes),
        }
        let Some(again) = self.store.fetch_target(self.asset_id, piece)? else { return Ok(None) };
        target = again;
        match self.bring(piece, target)? {
            Brought::InPlace { bytes } => Ok(Some(bytes)),
            Brought::OtherBytes => Err(SyncError::OtherBytes),
        }
    }

    /// Downloads a piece, going on as long as each connection brings something.
    fn bring(&mut self, piece: &PurgedPiece, mut target: FetchTarget) -> Result<Brought, SyncError> {
        let begun = target.held_bytes;
        loop {
            let before = target.held_bytes;
            match self.request(piece, &target) {
                Ok(response) => match pieces::read_fetch(&response) {
                    Ok(()) => {
                        let accepted = self.store.accept_fetched(self.asset_id, piece)?;
                        let bytes = piece.sealed_bytes.saturating_sub(begun);
                        return Ok(if accepted { Brought::InPlace { bytes } } else { Brought::OtherBytes });
                    }
                    Err(error) => return Err(self.refused(piece, error)),
                },
                Err(SyncError::Transfer(TransferError::Offline | TransferError::TimedOut))
                    if !self.line.is_cancelled() =>
                {
                    let Some(again) = self.store.fetch_target(self.asset_id, piece)? else {
                        return Ok(Brought::InPlace { bytes: 0 });
                    };
                    if again.held_bytes <= before {
                        return Err(TransferError::Offline.into());
                    }
                    target = again;
                }
                // Longer than the piece, or not what was asked for: what arrived of it is of no use.
                Err(SyncError::Transfer(TransferError::Malformed)) => {
                    self.store.discard_fetched(self.asset_id, piece)?;
                    return if begun > 0 { Ok(Brought::OtherBytes) } else { Err(TransferError::Malformed.into()) };
                }
                // The room is needed for captures.
                Err(SyncError::Transfer(TransferError::Full)) => {
                    self.store.discard_fetched(self.asset_id, piece)?;
                    return Err(QueueError::Full.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn refused(&self, piece: &PurgedPiece, error: ApiError) -> SyncError {
        if !pieces::is_lost(&error) {
            return error.into();
        }
        tracing::error!(asset_id = %self.asset_id, piece = piece.index, "the server does not hold a purged piece");
        match self.store.lost_at_server(self.asset_id, piece.index, self.client.parts.clock.now()) {
            Ok(()) => SyncError::ServerLost,
            Err(error) => error.into(),
        }
    }

    /// One request, and again after a 401 with a token that is still good.
    fn request(&mut self, piece: &PurgedPiece, target: &FetchTarget) -> Result<Response, SyncError> {
        let mut unauthorised = 0;
        loop {
            let (access, generation) = self.session.access();
            let call = Call { origin: &self.origin, id: self.line.next_id(), access: Some(access) };
            let into =
                IntoFile { path: target.path.clone(), held_bytes: target.held_bytes, bytes_max: piece.sealed_bytes };
            let plan = pieces::plan_fetch(&call, self.asset_id, piece.index, into);
            let response = self.line.exchange(plan, None)?;
            if response.status != 401 {
                self.session.accepted(generation);
                return Ok(response);
            }
            unauthorised += 1;
            match self.session.unauthorised(generation) {
                OnUnauthorised::Resend if unauthorised <= UNAUTHORISED_MAX => {}
                OnUnauthorised::Refresh if unauthorised <= UNAUTHORISED_MAX => self.refresh()?,
                OnUnauthorised::Resend | OnUnauthorised::Refresh | OnUnauthorised::GiveUp => {
                    return Err(SyncError::SignedOut);
                }
            }
        }
    }

    fn refresh(&mut self) -> Result<(), SyncError> {
        let queue = self.client.parts.store.as_ref();
        Ok(self.session.refresh(&mut self.line, &self.origin, queue, None)?)
    }
}
