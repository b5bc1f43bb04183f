-- Version 1. A shipped file never changes (a test holds its checksum). Every column says what it holds and whether it leaves
-- the device: [stays], [leaves: how]. The whole database is encrypted; nothing here is media.

-- Single values of the store.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,  -- [stays] word, for example 'store_id', 'generation_id', 'sync_block'
    value TEXT NOT NULL      -- [stays] JSON
) STRICT, WITHOUT ROWID;

-- Who this device works for; at most one row.
CREATE TABLE enrolment (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    server           TEXT NOT NULL,    -- [stays] origin of the API
    account_id       BLOB NOT NULL CHECK (length(account_id) = 16),       -- [leaves: API]
    organisation_id  BLOB NOT NULL CHECK (length(organisation_id) = 16),  -- [leaves: API, envelope in clear]
    device_id        BLOB NOT NULL CHECK (length(device_id) = 16),        -- [leaves: API, envelope in clear]
    trust_root       BLOB NOT NULL CHECK (length(trust_root) = 32),       -- [stays] SHA-256 of the raw root key
    trust_root_given INTEGER NOT NULL CHECK (trust_root_given IN (0, 1)), -- [stays] 0: trusted on first use
    trust_bundle     BLOB NOT NULL,    -- [stays] exact bytes of the accepted bundle
    tokens           BLOB              -- [stays] tokens sealed with the 'token' key; NULL when signed out
) STRICT;

CREATE TABLE capture (
    id             BLOB PRIMARY KEY CHECK (length(id) = 16),  -- [leaves: record, envelope in clear]
    number         INTEGER NOT NULL UNIQUE,  -- [stays] order of arrival
    kind           TEXT NOT NULL CHECK (kind IN ('photo', 'video', 'audio', 'scan', 'note', 'file')),  -- [leaves: record]
    created_ms     INTEGER NOT NULL,         -- [leaves: record]
    metadata       TEXT NOT NULL             -- [leaves: record in part, envelope sealed] CaptureMetadata as JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE asset (
    id             BLOB PRIMARY KEY CHECK (length(id) = 16),  -- [leaves: record, envelope in clear]
    capture_id     BLOB NOT NULL REFERENCES capture (id),
    rendition      TEXT NOT NULL CHECK (rendition IN ('original', 'redacted', 'thumbnail')),  -- [leaves: record]
    state          TEXT NOT NULL CHECK (state IN ('recording', 'saved', 'prepared', 'queued', 'sending', 'received',
                       'verified', 'purged', 'withheld', 'parked', 'cancelled')),
                       -- [stays] derived from pieces and steps by domain::asset::derive in the transaction that moves them
    closed         INTEGER NOT NULL CHECK (closed IN (0, 1)),      -- [leaves: envelope]
    withheld       INTEGER NOT NULL DEFAULT 0 CHECK (withheld IN (0, 1)),  -- [stays] a policy keeps it here
    bytes          INTEGER NOT NULL CHECK (bytes >= 0),            -- [leaves: receipt] plaintext bytes
    sha256         BLOB CHECK (sha256 IS NULL OR length(sha256) = 32),  -- [leaves: receipt] plaintext digest, NULL until closed
    in_incoming    INTEGER NOT NULL DEFAULT 0 CHECK (in_incoming IN (0, 1)),  -- [stays] the folder has not been moved yet
    state_since_ms INTEGER NOT NULL, -- [stays]
    -- Last, because it overflows the page and everything behind it would be read through the overflow chain:
    envelope       BLOB,             -- [leaves: API] the envelope's bytes where there is no folder (notes); else NULL
    UNIQUE (capture_id, rendition)
) STRICT, WITHOUT ROWID;
-- What is still to be moved, however many assets there are: the table's rows hold envelopes and are long to walk.
CREATE INDEX asset_in_incoming ON asset (id) WHERE in_incoming = 1;
CREATE INDEX asset_by_state ON asset (state, rendition, capture_id);
CREATE INDEX asset_incoming ON asset (id) WHERE in_incoming = 1;

CREATE TABLE piece (
    asset_id      BLOB NOT NULL REFERENCES asset (id),
    piece_index   INTEGER NOT NULL CHECK (piece_index >= 0),  -- [leaves: envelope]
    state         TEXT NOT NULL CHECK (state IN ('sealed', 'queued', 'sending', 'received', 'verified', 'purged', 'parked',
                      'cancelled')),  -- [stays]
    bytes         INTEGER NOT NULL CHECK (bytes BETWEEN 0 AND 33554432),  -- [leaves: envelope sealed] plaintext bytes
    sha256        BLOB NOT NULL CHECK (length(sha256) = 32),         -- [leaves: envelope sealed] plaintext digest
    sealed_bytes  INTEGER NOT NULL CHECK (sealed_bytes > 0),         -- [leaves: envelope, upload]
    sealed_sha256 BLOB NOT NULL CHECK (length(sealed_sha256) = 32),  -- [leaves: envelope, upload]
    upload        BLOB,  -- [stays] URL, capability and expiry of the begun upload, sealed with the 'token' key
    -- Last for the same reason as an asset's envelope:
    sealed        BLOB,  -- [leaves: upload] sealed bytes where there is no file (notes); else NULL
    PRIMARY KEY (asset_id, piece_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
    id            INTEGER PRIMARY KEY,
    capture_id    BLOB NOT NULL REFERENCES capture (id),
    asset_id      BLOB REFERENCES asset (id),   -- NULL: the step is the capture's
    piece_index   INTEGER,                      -- only for send_piece
    kind          TEXT NOT NULL CHECK (kind IN ('analyse', 'redact', 'thumbnail', 'send_record', 'send_envelope',
                      'send_piece', 'send_findings', 'fetch_receipt')),
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'parked', 'cancelled')),
    waits_for     INTEGER NOT NULL CHECK (waits_for >= 0),  -- [stays] how many steps must settle before this one is ready
    bytes         INTEGER NOT NULL DEFAULT 0,   -- [stays] what it will send, for choosing
    attempts      INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,   -- in a row
    failed_since_ms INTEGER,                    -- first failure of the present row of failures
    not_before_ms INTEGER,                      -- wall time; NULL: at once
    lease_boot    TEXT,                         -- while running: boot id ...
    lease_until_ms INTEGER,                     -- ... and monotonic end of the lease
    reason        TEXT,                         -- [leaves: status report] Reason as JSON: why it waits or is parked
    since_ms      INTEGER NOT NULL              -- when it came into this state
) STRICT;
-- The planner's one question: what of this kind is ready? Lanes of 4 MiB, so that a large video holds up nothing small, and
-- the oldest first within a lane (a step's id grows with its capture's age).
CREATE INDEX step_ready ON step (kind, state, waits_for, not_before_ms, bytes / 4194304, id);
CREATE INDEX step_of_capture ON step (capture_id, kind, asset_id, piece_index);
CREATE INDEX step_parked ON step (state, kind) WHERE state = 'parked';

-- One try at a step, with its outcome; the last 16 of each step are kept.
CREATE TABLE attempt (
    id            INTEGER PRIMARY KEY,
    step_id       INTEGER NOT NULL REFERENCES step (id) ON DELETE CASCADE,
    ended_ms      INTEGER NOT NULL,
    outcome       TEXT NOT NULL CHECK (outcome IN ('done', 'not_attempted', 'not_yet', 'failed', 'refused')),
    reason        TEXT               -- [stays] Reason as JSON
) STRICT;
CREATE INDEX attempt_of_step ON attempt (step_id, id);

-- When something of a kind last succeeded: tells a poisoned item from an outage.
CREATE TABLE last_success (
    kind  TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE receipt (
    sequence       INTEGER PRIMARY KEY CHECK (sequence >= 1),  -- [leaves: receipt] place in the chain, no gaps
    asset_id       BLOB NOT NULL UNIQUE REFERENCES asset (id),
    payload        BLOB NOT NULL,     -- [leaves: receipt] deterministic CBOR
    payload_sha256 BLOB NOT NULL CHECK (length(payload_sha256) = 32),  -- the next receipt's 'previous'
    signed         BLOB,              -- [leaves: API] COSE_Sign1 by this device; NULL until the signer has signed
    countersigned  BLOB,              -- [stays] the server's COSE_Sign1
    countersigned_ms INTEGER
) STRICT;
CREATE INDEX receipt_unsigned ON receipt (sequence) WHERE signed IS NULL;

CREATE TABLE finding (
    id           INTEGER PRIMARY KEY,
    capture_id   BLOB NOT NULL REFERENCES capture (id),
    asset_id     BLOB NOT NULL REFERENCES asset (id),
    task         TEXT NOT NULL,      -- [leaves: findings]
    model_id     TEXT NOT NULL,      -- [leaves: findings]
    body         TEXT NOT NULL,      -- [leaves: findings, by policy] Finding as JSON
    found_ms     INTEGER NOT NULL,
    UNIQUE (asset_id, model_id)
) STRICT;
CREATE INDEX finding_of_capture ON finding (capture_id);
