//! The organisation that this server stands for: its keys, made at the first start, and its signed trust bundle.
//!
//! Private keys lie sealed in the database and in memory only here. The bundle is served exactly as it was signed; it is
//! signed again, one version up, when its end comes near.

use crate::at_rest::AtRest;
use crate::database::{Database, OrganisationKeyRow, OrganisationRow, organisations};
use crate::error::Error;
use rusqlite::Transaction;
use snaptrak_domain::{OrganisationId, Random, Secret, Sha256Digest, Signer as _, UnixMs};
use snaptrak_seal::software_signer::SoftwareSigner;
use snaptrak_seal::{
    KemAlgorithm, KeyState, RecipientPrivateKey, RecipientPublicKey, RoleKey, RoleKeys, RootKey, RootPublic, TrustBody,
    key_id, sign_trust_bundle,
};

/// A bundle is accepted for a year.
const TRUST_LASTS_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// A server that is started within the bundle's last quarter signs a new one, so that a device which is offline for weeks
/// still has time to fetch it.
const TRUST_RENEWED_BEFORE_MS: i64 = TRUST_LASTS_MS / 4;

const ROOT: &str = "root";
const UPLOAD: &str = "upload";
const COUNTERSIGN: &str = "countersign";
const RECOVERY: &str = "recovery";
const MODELS: &str = "models";
const ACTIVE: &str = "active";
const RETIRED: &str = "retired";
const REVOKED: &str = "revoked";
const ALGORITHM_ED25519: &str = "ed25519";
const ALGORITHM_ES256: &str = "es256";

const PRIVATE_COLUMN: &str = "organisation_key.private";
const NAME_COLUMN: &str = "organisation.name";

/// The organisation of a running server.
pub(crate) struct Organisation {
    pub(crate) id: OrganisationId,
    pub(crate) server_id: String,
    pub(crate) trust_bundle: Vec<u8>,
    pub(crate) root_fingerprint: Sha256Digest,
    /// Those that still open what was wrapped for them, the active one last.
    upload_keys: Vec<RecipientPrivateKey>,
    countersigner: SoftwareSigner,
}

/// What the first start needs to know.
pub(crate) struct FirstStart<'a> {
    pub(crate) name: &'a str,
    pub(crate) kem: KemAlgorithm,
    pub(crate) now: UnixMs,
}

impl Organisation {
    /// Makes the organisation at the first start, checks the data key at every other, and loads the keys.
    pub(crate) fn open(
        database: &Database,
        at_rest: &AtRest,
        first: &FirstStart<'_>,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        database.write_now(|transaction| {
            match organisations::key_check(transaction)? {
                None => make(transaction, at_rest, first, random)?,
                Some(check) if check == at_rest.key_check() => {}
                Some(_) => return Err(Error::WrongDataKey),
            }
            renew_if_due(transaction, at_rest, first.now)?;
            load(transaction, at_rest)
        })
    }

    /// Loads the organisation of a folder that has been served, without changing anything.
    pub(crate) fn existing(database: &Database, at_rest: &AtRest) -> Result<Self, Error> {
        database.read_now(|transaction| match organisations::key_check(transaction)? {
            Some(check) if check == at_rest.key_check() => load(transaction, at_rest),
            Some(_) => Err(Error::WrongDataKey),
            None => Err(Error::Contradiction { what: "the server's row is missing" }),
        })
    }

    /// The private key to which this id belongs.
    pub(crate) fn upload_key(&self, id: &Sha256Digest) -> Option<&RecipientPrivateKey> {
        self.upload_keys.iter().find(|key| key.public_key().key_id() == *id)
    }

    /// The key for new wraps: the one that an owner exports.
    pub(crate) fn active_upload_key(&self) -> Result<&RecipientPrivateKey, Error> {
        self.upload_keys.last().ok_or(Error::Contradiction { what: "the organisation has no upload key" })
    }

    pub(crate) fn countersigner(&self) -> &SoftwareSigner {
        &self.countersigner
    }
}

fn make(
    transaction: &Transaction<'_>,
    at_rest: &AtRest,
    first: &FirstStart<'_>,
    random: &dyn Random,
) -> Result<(), Error> {
    let id = OrganisationId::new(first.now, random)?;
    let server_id = OrganisationId::new(first.now, random)?.to_string();
    let root = RootKey::generate(random)?;
    let upload = RecipientPrivateKey::generate(first.kem, random)?;
    let countersign_pkcs8 = SoftwareSigner::generate_pkcs8()?;
    let countersigner = signer(countersign_pkcs8.expose())?;
    let keys = [
        (ROOT, ALGORITHM_ED25519, root.public().to_vec(), root.seed()),
        (UPLOAD, first.kem.as_str(), upload.public_key().as_bytes().to_vec(), Secret::new(upload.expose().to_vec())),
        (COUNTERSIGN, ALGORITHM_ES256, countersigner.public_key().to_vec(), countersign_pkcs8),
    ];
    organisations::insert_server(transaction, &server_id, &at_rest.key_check(), first.now)?;
    let name_sealed = at_rest.seal(NAME_COLUMN, id.to_string().as_bytes(), first.name.as_bytes(), random)?;
    let mut row =
        OrganisationRow { id, server_id, trust_version: 0, trust_expires_ms: first.now, trust_bundle: Vec::new() };
    organisations::insert_organisation(transaction, &row, &name_sealed, first.now)?;
    for (role, algorithm, public, private) in keys {
        let key_id = key_id(&public);
        let private_sealed = at_rest.seal(PRIVATE_COLUMN, key_id.to_string().as_bytes(), private.expose(), random)?;
        let key = OrganisationKeyRow {
            key_id,
            role: role.to_owned(),
            algorithm: algorithm.to_owned(),
            public,
            private_sealed,
            state: ACTIVE.to_owned(),
        };
        organisations::insert_key(transaction, id, &key, first.now)?;
    }
    sign_next(transaction, at_rest, &mut row, first.now)
}

fn renew_if_due(transaction: &Transaction<'_>, at_rest: &AtRest, now: UnixMs) -> Result<(), Error> {
    let mut row = organisations::organisation(transaction)?;
    if row.trust_expires_ms.0 - now.0 >= TRUST_RENEWED_BEFORE_MS {
        return Ok(());
    }
    sign_next(transaction, at_rest, &mut row, now)
}

/// Signs the next version of the bundle over the keys as they stand.
fn sign_next(
    transaction: &Transaction<'_>,
    at_rest: &AtRest,
    row: &mut OrganisationRow,
    now: UnixMs,
) -> Result<(), Error> {
    let keys = organisations::keys(transaction, row.id)?;
    let root = root_key(&keys, at_rest)?;
    let mut roles = RoleKeys::default();
    for key in &keys {
        let state = state_of(key)?;
        match key.role.as_str() {
            RECOVERY => roles.recovery.push(RoleKey::for_recipient(&recipient(key)?, state)),
            MODELS => roles.models.push(RoleKey::for_ed25519(&models_public(&key.public)?, state)),
            UPLOAD => roles.upload.push(RoleKey::for_recipient(&recipient(key)?, state)),
            COUNTERSIGN => {
                let public = key.public.as_slice().try_into();
                let public = public.map_err(|_| Error::key("the countersign key has a wrong length"))?;
                roles.countersign.push(RoleKey::for_es256(public, state));
            }
            _ => {}
        }
    }
    row.trust_version += 1;
    row.trust_expires_ms = UnixMs(now.0 + TRUST_LASTS_MS);
    let body = TrustBody {
        organisation_id: row.id,
        version: row.trust_version,
        issued_ms: now,
        expires_ms: row.trust_expires_ms,
        root: RootPublic { public: root.public().to_vec() },
        roles,
    };
    row.trust_bundle = sign_trust_bundle(&body, &[&root]).map_err(Error::key)?.into_bytes();
    organisations::set_trust_bundle(transaction, row)
}

fn load(transaction: &Transaction<'_>, at_rest: &AtRest) -> Result<Organisation, Error> {
    let row = organisations::organisation(transaction)?;
    let keys = organisations::keys(transaction, row.id)?;
    let of_role = |role: &'static str| keys.iter().filter(move |key| key.role == role);
    let countersign = of_role(COUNTERSIGN)
        .find(|key| key.state == ACTIVE)
        .ok_or(Error::Contradiction { what: "the organisation has no countersign key" })?;
    let mut upload_keys: Vec<_> = of_role(UPLOAD).filter(|key| key.state != REVOKED).collect();
    upload_keys.sort_by_key(|key| key.state == ACTIVE);
    Ok(Organisation {
        id: row.id,
        server_id: row.server_id,
        trust_bundle: row.trust_bundle,
        root_fingerprint: root_key(&keys, at_rest)?.fingerprint(),
        upload_keys: upload_keys.into_iter().map(|key| upload_key(key, at_rest)).collect::<Result<_, _>>()?,
        countersigner: signer(private(countersign, at_rest)?.expose())?,
    })
}

/// A new upload key. Devices wrap for it from the next bundle on; the one before is retired (it still opens what was wrapped
/// for it) or, if `revoke`, neither opens nor is believed any more.
pub(crate) fn rotate_upload_key(
    transaction: &Transaction<'_>,
    at_rest: &AtRest,
    revoke: bool,
    now: UnixMs,
    random: &dyn Random,
) -> Result<Sha256Digest, Error> {
    let mut row = organisations::organisation(transaction)?;
    let keys = organisations::keys(transaction, row.id)?;
    let before = keys.iter().find(|key| key.role == UPLOAD && key.state == ACTIVE);
    let before = before.ok_or(Error::Contradiction { what: "the organisation has no upload key" })?;
    let new = RecipientPrivateKey::generate(before.algorithm.parse().map_err(Error::key)?, random)?;
    organisations::move_keys(transaction, row.id, UPLOAD, ACTIVE, if revoke { REVOKED } else { RETIRED })?;
    let key_id = new.public_key().key_id();
    let private_sealed = at_rest.seal(PRIVATE_COLUMN, key_id.to_string().as_bytes(), new.expose(), random)?;
    organisations::insert_key(transaction, row.id, &recipient_row(UPLOAD, &new, private_sealed), now)?;
    sign_next(transaction, at_rest, &mut row, now)?;
    Ok(key_id)
}

/// A recovery key for which devices wrap too. The server keeps its public half alone.
pub(crate) fn make_recovery_key(
    transaction: &Transaction<'_>,
    at_rest: &AtRest,
    now: UnixMs,
    random: &dyn Random,
) -> Result<RecipientPrivateKey, Error> {
    let mut row = organisations::organisation(transaction)?;
    let new = RecipientPrivateKey::generate(KemAlgorithm::XWing, random)?;
    organisations::move_keys(transaction, row.id, RECOVERY, ACTIVE, RETIRED)?;
    organisations::insert_key(transaction, row.id, &recipient_row(RECOVERY, &new, Vec::new()), now)?;
    sign_next(transaction, at_rest, &mut row, now)?;
    Ok(new)
}

/// A further key for models, of which the server knows the public half alone. Those before it stay good, so that what they
/// signed stays in use, or are not believed any more if `revoke`.
pub(crate) fn add_models_key(
    transaction: &Transaction<'_>,
    public: &[u8],
    at_rest: &AtRest,
    revoke: bool,
    now: UnixMs,
) -> Result<Sha256Digest, Error> {
    let mut row = organisations::organisation(transaction)?;
    let key = OrganisationKeyRow {
        key_id: key_id(&models_public(public)?),
        role: MODELS.to_owned(),
        algorithm: ALGORITHM_ED25519.to_owned(),
        public: public.to_vec(),
        private_sealed: Vec::new(),
        state: ACTIVE.to_owned(),
    };
    if organisations::keys(transaction, row.id)?.iter().any(|known| known.key_id == key.key_id) {
        return Err(Error::key("the organisation has this key already"));
    }
    if revoke {
        organisations::move_keys(transaction, row.id, MODELS, ACTIVE, REVOKED)?;
    }
    organisations::insert_key(transaction, row.id, &key, now)?;
    sign_next(transaction, at_rest, &mut row, now)?;
    Ok(key.key_id)
}

fn models_public(bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::key("a key for models is a raw Ed25519 key of 32 bytes"))
}

fn recipient_row(role: &str, key: &RecipientPrivateKey, private_sealed: Vec<u8>) -> OrganisationKeyRow {
    OrganisationKeyRow {
        key_id: key.public_key().key_id(),
        role: role.to_owned(),
        algorithm: key.algorithm().as_str().to_owned(),
        public: key.public_key().as_bytes().to_vec(),
        private_sealed,
        state: ACTIVE.to_owned(),
    }
}

fn state_of(key: &OrganisationKeyRow) -> Result<KeyState, Error> {
    match key.state.as_str() {
        ACTIVE => Ok(KeyState::Active),
        RETIRED => Ok(KeyState::Retired),
        REVOKED => Ok(KeyState::Revoked),
        _ => Err(Error::Contradiction { what: "a key in an unknown state" }),
    }
}

fn recipient(key: &OrganisationKeyRow) -> Result<RecipientPublicKey, Error> {
    RecipientPublicKey::from_bytes(key.algorithm.parse().map_err(Error::key)?, &key.public).map_err(Error::key)
}

fn private(key: &OrganisationKeyRow, at_rest: &AtRest) -> Result<Secret, Error> {
    let opened = at_rest.open(PRIVATE_COLUMN, key.key_id.to_string().as_bytes(), &key.private_sealed)?;
    Ok(Secret::new(opened.to_vec()))
}

fn root_key(keys: &[OrganisationKeyRow], at_rest: &AtRest) -> Result<RootKey, Error> {
    let root = keys.iter().find(|key| key.role == ROOT && key.state == ACTIVE);
    let root = root.ok_or(Error::Contradiction { what: "the organisation has no root key" })?;
    let seed = private(root, at_rest)?;
    let seed = seed.expose().try_into().map_err(|_| Error::key("the root key has a wrong length"))?;
    Ok(RootKey::from_seed(seed))
}

fn upload_key(key: &OrganisationKeyRow, at_rest: &AtRest) -> Result<RecipientPrivateKey, Error> {
    let algorithm: KemAlgorithm = key.algorithm.parse().map_err(Error::key)?;
    RecipientPrivateKey::from_bytes(algorithm, private(key, at_rest)?.expose()).map_err(Error::key)
}

fn signer(pkcs8: &[u8]) -> Result<SoftwareSigner, Error> {
    SoftwareSigner::from_pkcs8(pkcs8).ok_or_else(|| Error::key("the countersign key is not a P-256 key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::OsRandom;
    use snaptrak_seal::{TrustAnchor, accept_trust_bundle};

    fn open(database: &Database, at_rest: &AtRest, now: UnixMs) -> Result<Organisation, Error> {
        let first = FirstStart { name: "Bluff Ltd", kem: KemAlgorithm::XWing, now };
        Organisation::open(database, at_rest, &first, &OsRandom)
    }

    #[test]
    fn made_once_renewed_in_time_and_refused_with_another_key() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Database::open(&folder.path().join("server.sqlite3")).expect("a new database");
        let at_rest = AtRest::new(&[1; 32]);
        let start = UnixMs(1_795_000_000_000);
        let made = open(&database, &at_rest, start).expect("the first start");
        let again = open(&database, &at_rest, UnixMs(start.0 + 1)).expect("the second");
        assert_eq!(made.trust_bundle, again.trust_bundle);
        let anchor = TrustAnchor::pin(made.root_fingerprint);
        let accepted = accept_trust_bundle(&made.trust_bundle, Some(&anchor), start).expect("it chains to its root");
        assert_eq!(accepted.body.version, 1);
        assert_eq!(accepted.body.upload_key().expect("an upload key").algorithm(), KemAlgorithm::XWing);

        let late = UnixMs(start.0 + TRUST_LASTS_MS - TRUST_RENEWED_BEFORE_MS + 1);
        let renewed = open(&database, &at_rest, late).expect("a start in the last quarter");
        let accepted = accept_trust_bundle(&renewed.trust_bundle, Some(&accepted.anchor), late).expect("it follows");
        assert_eq!((accepted.body.version, accepted.rotated), (2, false));

        let other = AtRest::new(&[2; 32]);
        assert!(matches!(open(&database, &other, late), Err(Error::WrongDataKey)));
        assert!(matches!(Organisation::existing(&database, &other), Err(Error::WrongDataKey)));
    }
}
