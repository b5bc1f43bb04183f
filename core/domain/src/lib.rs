#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod asset;
pub mod backoff;
pub mod cancel;
pub mod capture;
pub mod clock;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod fetch_store;
pub mod finding;
pub mod id;
pub mod keep;
pub mod key_store;
pub mod limits;
pub mod outcome;
pub mod piece;
pub mod queue_store;
pub mod random;
pub mod reason;
pub mod record;
pub mod sealed_metadata;
pub mod sealed_reader;
pub mod secret;
pub mod signer;
pub mod step;
pub mod step_event;
pub mod transport;

pub use asset::{AssetState, Rendition};
pub use cancel::{CancelToken, OnCancel};
pub use capture::{CaptureMetadata, EndedBecause, Kind, Location, Orientation};
pub use clock::{BootId, Clock, Instant, MonotonicMs, UnixMs, WallTime};
pub use digest::Sha256Digest;
pub use disk::Disk;
pub use finding::{Finding, FindingBox, StageMs, Task};
pub use id::{AccountId, AssetId, CaptureId, DeviceId, OrganisationId, StoreId};
pub use keep::KeptCode;
pub use key_store::{KeyClass, KeyStore, KeyStoreError};
pub use piece::PieceState;
pub use random::{Random, RandomError};
pub use reason::{Reason, ReasonCode};
pub use sealed_metadata::{PieceDigest, SealedMetadata};
pub use secret::Secret;
pub use signer::{Signer, SignerError};
pub use step::{StepKind, StepState};
