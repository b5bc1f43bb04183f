-- Schema version 2: an organisation's keys may be revoked, and it may have a recovery key, whose private half the server never
-- sees (its column is then empty).

CREATE TABLE organisation_key_2 (
    organisation_id TEXT NOT NULL REFERENCES organisation (id),
    key_id TEXT NOT NULL,                 -- hex SHA-256 of the serialized public key
    role TEXT NOT NULL CHECK (role IN ('root', 'upload', 'countersign', 'recovery')),
    algorithm TEXT NOT NULL,
    public BLOB NOT NULL,
    private_sealed BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'revoked')),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, key_id)
) STRICT;
INSERT INTO organisation_key_2 SELECT organisation_id, key_id, role, algorithm, public, private_sealed, state, created_ms
    FROM organisation_key;
DROP TABLE organisation_key;
ALTER TABLE organisation_key_2 RENAME TO organisation_key;
