//! Ids. Everything that the device names is a UUIDv7: sortable by the time at which it was made, unguessable enough not to
//! collide, the same text in SQL, Rust, Kotlin, Swift and the API.

use crate::{Random, RandomError, UnixMs};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not a hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a hyphenated UUID")]
pub struct IdError;

fn uuid_v7(now: UnixMs, random: &dyn Random) -> Result<Uuid, RandomError> {
    let mut entropy = [0_u8; 10];
    random.fill(&mut entropy)?;
    // A clock before 1970 cannot be written into a UUIDv7; such a device starts at zero.
    let milliseconds = u64::try_from(now.0).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(milliseconds, &entropy).into_uuid())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new UUIDv7 from the given wall time and randomness.
            pub fn new(now: UnixMs, random: &dyn Random) -> Result<Self, RandomError> {
                uuid_v7(now, random).map(Self)
            }

            /// The 16 bytes as they stand in associated data and receipts.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the 16 bytes of [`Self::as_bytes`].
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the 36-character form: a second spelling of an id would be a second name for one thing.
                if text.len() != 36 {
                    return Err(IdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError)
            }
        }
    };
}

id!(
    /// One capture: an item of evidence.
    CaptureId
);
id!(
    /// One asset: a rendition of a capture.
    AssetId
);
id!(
    /// The device as the organisation knows it, made once a store.
    DeviceId
);
id!(
    /// The organisation that owns the captures after enrolment.
    OrganisationId
);
id!(
    /// A person's account at the SnapTrak API.
    AccountId
);
id!(
    /// A store, and separately its generation.
    StoreId
);

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
            buffer.fill(0xab);
            Ok(())
        }
    }

    #[test]
    fn is_version_seven_and_sorts_by_time() {
        let early = CaptureId::new(UnixMs(1_000), &Fixed).expect("fixed random never fails");
        let late = CaptureId::new(UnixMs(2_000), &Fixed).expect("fixed random never fails");
        assert_eq!(early.0.get_version_num(), 7);
        assert!(early < late);
    }

    #[test]
    fn reads_its_own_text_and_no_other_spelling() {
        let id = AssetId::new(UnixMs(5), &Fixed).expect("fixed random never fails");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.0.simple().to_string().parse::<AssetId>(), Err(IdError));
    }
}
