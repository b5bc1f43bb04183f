-- Schema version 3: an organisation's keys for models, whose private halves the server never sees, and the models that it
-- publishes. A file is kept once, however many releases name it.

CREATE TABLE organisation_key_3 (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    key_id TEXT NOT NULL,                 -- hex SHA-256 of the serialized public key
    role TEXT NOT NULL CHECK (role IN ('root', 'upload', 'countersign', 'recovery', 'models')),
    algorithm TEXT NOT NULL,
    public BLOB NOT NULL,
    private_sealed BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'revoked')),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, key_id)
) STRICT;
INSERT INTO organisation_key_3 SELECT organisation_id, key_id, role, algorithm, public, private_sealed, state, created_ms
    FROM organisation_key;
DROP TABLE organisation_key;
ALTER TABLE organisation_key_3 RENAME TO organisation_key;

CREATE TABLE models_release (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    version INTEGER NOT NULL,
    signed BLOB NOT NULL,                 -- the exact JSON that is served
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, version)
) STRICT;

CREATE TABLE models_file (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, sha256)
) STRICT, WITHOUT ROWID;
