-- Schema version 1 of the reference server. A column that ends in `_sealed` holds AES-256-GCM under the data key with its
-- own name and its row as associated data. `_digest` is SHA-256 or an HMAC of what is found again by it. Times are
-- milliseconds since 1970, ids are lowercase hyphenated text.

CREATE TABLE server (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    server_id TEXT NOT NULL,              -- names this server in countersignatures
    key_check BLOB NOT NULL,              -- tells a wrong data key from damage
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE organisation (
    id TEXT PRIMARY KEY,
    name_sealed BLOB NOT NULL,
    trust_version INTEGER NOT NULL,
    trust_expires_ms INTEGER NOT NULL,
    trust_bundle BLOB NOT NULL,           -- the exact JSON that is served
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE organisation_key (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    key_id TEXT NOT NULL,                 -- hex SHA-256 of the serialized public key
    role TEXT NOT NULL CHECK (role IN ('root', 'upload', 'countersign')),
    algorithm TEXT NOT NULL,
    public BLOB NOT NULL,
    private_sealed BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'retired')),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, key_id)
) STRICT;

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    email_digest BLOB NOT NULL UNIQUE,    -- HMAC of the lowercase address
    email_sealed BLOB NOT NULL,
    name_sealed BLOB,
    password_salt BLOB NOT NULL,
    password_sealed BLOB NOT NULL,        -- Argon2id's output, sealed once more
    password_memory_kib INTEGER NOT NULL,
    password_passes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE access_token (
    digest BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_by_session ON access_token (session_id, expires_ms);

CREATE TABLE refresh_token (
    digest BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,          -- 1 at sign-in, the used token's plus 1 at each refresh
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_by_session ON refresh_token (session_id, generation, created_ms);

CREATE TABLE device (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    account_id TEXT NOT NULL REFERENCES account (id),
    name_sealed BLOB NOT NULL,
    media_key_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- Every signing key that a device has had: receipts signed before a rotation stay checkable.
CREATE TABLE device_key (
    device_id TEXT NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    key_id TEXT NOT NULL,
    public BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (device_id, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE capture (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    account_id TEXT NOT NULL REFERENCES account (id),
    device_id TEXT NOT NULL REFERENCES device (id),
    kind TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    offset_minutes INTEGER NOT NULL,
    written_sealed BLOB NOT NULL,         -- JSON of note, tags, project, file name, place and media type
    written_digest BLOB NOT NULL,         -- HMAC of the same, to tell a repetition from a change
    received_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX capture_by_account ON capture (organisation_id, account_id, id);

CREATE TABLE asset (
    id TEXT PRIMARY KEY,
    capture_id TEXT NOT NULL REFERENCES capture (id),
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    rendition TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'ready', 'verified', 'failed')),
    revision INTEGER NOT NULL DEFAULT 0,  -- grows with each change of envelope, receipt or pieces
    envelope BLOB,                        -- the exact bytes; what people wrote is sealed in it by the device
    envelope_closed INTEGER NOT NULL DEFAULT 0,
    device_receipt BLOB,
    content_sealed BLOB,                  -- JSON of the plaintext's length and digest, from the envelope's metadata
    ready_ms INTEGER,
    failure_code TEXT,
    failure_piece INTEGER,
    countersigned BLOB,
    verified_ms INTEGER
) STRICT;
CREATE INDEX asset_by_capture ON asset (capture_id);
CREATE INDEX asset_to_verify ON asset (ready_ms) WHERE state = 'ready';

-- What the last accepted envelope lists.
CREATE TABLE envelope_piece (
    asset_id TEXT NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    piece_index INTEGER NOT NULL,
    sealed_bytes INTEGER NOT NULL,
    sealed_sha256 TEXT NOT NULL,
    PRIMARY KEY (asset_id, piece_index)
) STRICT, WITHOUT ROWID;

-- One piece of an asset, from the moment its upload is created.
CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    asset_id TEXT NOT NULL REFERENCES asset (id),
    piece_index INTEGER NOT NULL,
    sealed_bytes INTEGER NOT NULL,
    sealed_sha256 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('receiving', 'stored')),
    offset_bytes INTEGER NOT NULL,        -- durable bytes: synced before this was written
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,          -- of the unfinished upload; a stored piece does not expire
    UNIQUE (organisation_id, asset_id, piece_index)
) STRICT;
CREATE INDEX upload_under_way ON upload (expires_ms) WHERE state = 'receiving';
CREATE INDEX upload_by_asset ON upload (asset_id, piece_index);

CREATE TABLE capability (
    digest BLOB PRIMARY KEY,
    upload_id TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX capability_by_upload ON capability (upload_id, expires_ms);

CREATE TABLE finding (
    capture_id TEXT NOT NULL REFERENCES capture (id) ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    findings_sealed BLOB NOT NULL,        -- JSON array of what this model said
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (capture_id, model_id)
) STRICT, WITHOUT ROWID;
