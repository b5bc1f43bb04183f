//! Bringing purged bytes back: piece after piece into files of the store, each believed by its digest alone.
//!
//! Bytes that the server changed replace nothing. A piece that the server does not hold any more is set aside as lost, and said.

use snaptrak_domain::fetch_store::{ArrivingFile, FetchStore, FetchTarget, PurgedPiece};
use snaptrak_domain::queue_store::QueueError;
use snaptrak_domain::{AssetId, AssetState, CancelToken};

use crate::api::{ApiError, pieces};
use crate::client::SyncClient;
use crate::download::Download;
use crate::errand::Errand;
use crate::error::SyncError;

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

/// An asset's pieces on their way back.
struct Fetch<'a> {
    errand: Errand<'a>,
    store: &'a dyn FetchStore,
    asset_id: AssetId,
}

/// One of them.
struct ArrivingPiece<'a> {
    store: &'a dyn FetchStore,
    asset_id: AssetId,
    piece: &'a PurgedPiece,
}

impl ArrivingFile for ArrivingPiece<'_> {
    fn target(&self) -> Result<Option<FetchTarget>, QueueError> {
        self.store.fetch_target(self.asset_id, self.piece)
    }

    fn accept(&self) -> Result<bool, QueueError> {
        self.store.accept_fetched(self.asset_id, self.piece)
    }

    fn discard(&self) -> Result<(), QueueError> {
        self.store.discard_fetched(self.asset_id, self.piece)
    }
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
    let mut fetch = Fetch { errand: Errand::open(client, cancel, None)?, store, asset_id };
    for round in 1..=ROUNDS_MAX {
        fetch.all(&mut fetched, watch)?;
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

impl Fetch<'_> {
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
        let (client, store, asset_id) = (self.errand.client, self.store, self.asset_id);
        let download = Download {
            file: &ArrivingPiece { store, asset_id, piece },
            bytes: piece.sealed_bytes,
            plan: &|call, into| pieces::plan_fetch(call, asset_id, piece.index, into),
            read: pieces::read_fetch,
            refused: &|error| refused(client, store, asset_id, piece, error),
        };
        download.bring(&mut self.errand)
    }
}

fn refused(
    client: &SyncClient,
    store: &dyn FetchStore,
    asset_id: AssetId,
    piece: &PurgedPiece,
    error: ApiError,
) -> SyncError {
    if !pieces::is_lost(&error) {
        return error.into();
    }
    tracing::error!(%asset_id, piece = piece.index, "the server does not hold a purged piece");
    match store.lost_at_server(asset_id, piece.index, client.parts.clock.now()) {
        Ok(()) => SyncError::ServerLost,
        Err(error) => error.into(),
    }
}
