//! Small pictures: made here of photos as they are analysed or when they are first asked for, given by the app for what this
//! library cannot decode.
//!
//! Owns when a thumbnail is made and what becomes of one that cannot be. Nothing here needs an engine or a model. A thumbnail
//! that cannot be made is never parked: its step is settled with the reason, which [`SnapTrak::show`] gives.

use crate::{Error, ErrorCode, SnapTrak, analyse::reader_reason, calls::Call};
use snaptrak_domain::{AssetState, CaptureId, Kind, PieceState, Reason, ReasonCode, Rendition, StepKind, StepState};
use snaptrak_store::{Analysis, AssetDetail, CaptureDetail, StoreError};

/// Steps taken from the queue at once; each is small, and the list must not go stale.
const BATCH: usize = 32;
/// A thumbnail as it is stored: 320 pixels of noise at the best quality have a fifth of this.
const THUMBNAIL_BYTES_MAX: u64 = 1 << 20;
/// What an app may give as a picture: above a full frame of an 8K video as a PNG.
const GIVEN_BYTES_MAX: usize = 128 << 20;

impl SnapTrak {
    /// A small upright picture of a capture, JPEG, 320 pixels on its longer side at most, without metadata; `None` for what
    /// has none. It is sealed on this device and does not leave it, and it stays when the original is purged.
    ///
    /// Opening it needs the viewing keys, as any picture does. A photo's is made when it is first asked for, if
    /// [`SnapTrak::analyse`] has not made it yet. For what cannot be decoded here (a video, HEIC), give one with
    /// [`SnapTrak::set_thumbnail`].
    pub fn thumbnail(&self, id: CaptureId) -> Result<Option<Vec<u8>>, Error> {
        let store = &self.inner.store;
        if let Some(asset_id) = store.find_asset_of(id, Rendition::Thumbnail)? {
            let mut reader = store.reader(asset_id)?;
            let bytes = reader.read_all(THUMBNAIL_BYTES_MAX).map_err(|error| Error::from_reason(&error.reason))?;
            return Ok(Some(bytes));
        }
        let detail = store.show(id)?;
        if !may_be_made(&detail) {
            return if is_purged(&detail) { Err(StoreError::Purged.into()) } else { Ok(None) };
        }
        match self.shrink(id)? {
            Ok(small) => {
                store.add_derived(id, Rendition::Thumbnail, &small)?;
                Ok(Some(small))
            }
            Err(reason) if is_for_now(&reason) => Err(Error::from_reason(&reason)),
            Err(reason) => {
                store.give_up_thumbnail(id, &reason)?;
                Ok(None)
            }
        }
    }

    /// Keeps a picture that the app gives as a capture's thumbnail: a video's still (`MediaMetadataRetriever` on Android,
    /// `AVAssetImageGenerator` on iOS), a HEIC that the system decoded, a document's first page. JPEG, PNG or WebP of any size;
    /// it is decoded here, turned upright, made small and coded anew without its metadata.
    ///
    /// A capture keeps its first thumbnail: a second one replaces nothing and is no error.
    pub fn set_thumbnail(&self, id: CaptureId, picture: &[u8]) -> Result<(), Error> {
        if picture.len() > GIVEN_BYTES_MAX {
            return Err(Error::new(ErrorCode::TooLarge, "the picture for the thumbnail is too large"));
        }
        let small = snaptrak_vision::thumbnail_of_bytes(picture).map_err(|error| Error::from_reason(&error.reason))?;
        self.inner.store.add_derived(id, Rendition::Thumbnail, &small)?;
        Ok(())
    }

    /// Makes the thumbnails that are still to be made of captures whose analysis has settled, or of the others, at most
    /// `limit`; how many were made.
    pub(crate) fn make_thumbnails(&self, analysis: Analysis, limit: u64, call: &Call<'_>) -> Result<u64, Error> {
        let (mut made, mut tried, mut last) = (0, 0, 0);
        loop {
            let waiting = self.inner.store.waiting_thumbnails(analysis, last, BATCH)?;
            if waiting.is_empty() {
                return Ok(made);
            }
            for one in waiting {
                if tried == limit {
                    return Ok(made);
                }
                call.go_on()?;
                (tried, last) = (tried + 1, one.step_id);
                made += u64::from(self.make_thumbnail(one.capture_id)?);
            }
        }
    }

    /// Whether there is a thumbnail now. One capture's trouble does not keep the others from theirs.
    fn make_thumbnail(&self, id: CaptureId) -> Result<bool, Error> {
        match self.shrink(id)? {
            Ok(small) => self.keep_thumbnail(id, &small).map(|()| true),
            Err(reason) => {
                tracing::info!(capture = %id, code = reason.code.as_str(), "no thumbnail");
                if !is_for_now(&reason) {
                    self.inner.store.give_up_thumbnail(id, &reason)?;
                }
                Ok(false)
            }
        }
    }

    /// Keeps a thumbnail that was made.
    pub(crate) fn keep_thumbnail(&self, id: CaptureId, small: &[u8]) -> Result<(), Error> {
        self.inner.store.add_derived(id, Rendition::Thumbnail, small)?;
        Ok(())
    }

    /// Makes the thumbnail of a capture whose bytes are about to go, if it could have one and has none: it is what can be seen
    /// of it afterwards. [`StoreError::NeedsUser`]: only a person can open the bytes now.
    pub(crate) fn keep_seen_small(&self, id: CaptureId) -> Result<(), StoreError> {
        let store = &self.inner.store;
        if store.find_asset_of(id, Rendition::Thumbnail)?.is_some() || !may_be_made(&store.show(id)?) {
            return Ok(());
        }
        match self.shrink(id)? {
            Ok(small) => store.add_derived(id, Rendition::Thumbnail, &small).map(|_| ()),
            Err(reason) if reason.code == ReasonCode::NeedsUser => Err(StoreError::NeedsUser),
            Err(reason) => {
                tracing::info!(capture = %id, code = reason.code.as_str(), "no thumbnail before its bytes go");
                if is_for_now(&reason) { Ok(()) } else { store.give_up_thumbnail(id, &reason) }
            }
        }
    }

    /// The original made small, or why it cannot be.
    fn shrink(&self, id: CaptureId) -> Result<Result<Vec<u8>, Reason>, StoreError> {
        let store = &self.inner.store;
        let asset_id = store.asset_of(id, Rendition::Original)?;
        Ok(match store.reader(asset_id) {
            Ok(mut reader) => snaptrak_vision::thumbnail(reader.as_mut()).map_err(|error| error.reason),
            // Nothing more would be read from this store either.
            Err(
                error @ (StoreError::Closed | StoreError::Full | StoreError::Database { .. } | StoreError::Io { .. }),
            ) => {
                return Err(error);
            }
            // Locked, damaged, or purged before anyone asked: keys may come, and it may be fetched back or recovered.
            Err(error) => Err(reader_reason(&error)),
        })
    }
}

/// Whether another attempt may end otherwise: keys come, bytes are fetched back or recovered.
fn is_for_now(reason: &Reason) -> bool {
    matches!(reason.code, ReasonCode::NeedsUser | ReasonCode::LocalDamaged | ReasonCode::Purged)
}

/// Whether a capture without a thumbnail could have one: its original is complete and here, and nobody has tried in vain.
fn may_be_made(detail: &CaptureDetail) -> bool {
    let here = detail.assets.iter().any(|asset| {
        asset.rendition == Rendition::Original
            && asset.sha256.is_some()
            && asset.pieces.iter().all(|piece| piece.state != PieceState::Purged)
    });
    here && is_wanted(detail)
}

/// Whether it could have one if its bytes were fetched back.
fn is_purged(detail: &CaptureDetail) -> bool {
    let purged = |asset: &AssetDetail| asset.rendition == Rendition::Original && asset.state == AssetState::Purged;
    detail.assets.iter().any(purged) && is_wanted(detail)
}

fn is_wanted(detail: &CaptureDetail) -> bool {
    let in_vain =
        detail.steps.iter().any(|step| step.step == StepKind::Thumbnail && step.state == StepState::Cancelled);
    let pictured = match detail.metadata.kind {
        Kind::Photo | Kind::Video => true,
        Kind::Scan => detail.metadata.content_type.starts_with("image/"),
        Kind::Audio | Kind::Note | Kind::File => false,
    };
    pictured && !in_vain
}
