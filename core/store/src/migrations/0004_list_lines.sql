-- Version 4: the list in order of arrival, under whole numbers; annotations. A shipped file never changes (a test holds its checksum).
-- [stays], [leaves: how] as in version 1.

-- Where the lines of one state begin: below zero, far enough apart for all numbers that captures can have. The list of all comes
-- last, so that a new capture is appended to the tree, which fills its pages.
CREATE TABLE list_start (
    state TEXT PRIMARY KEY,                                  -- [stays]
    start INTEGER NOT NULL UNIQUE                            -- [stays] a multiple of 2^48, negative
) STRICT, WITHOUT ROWID;
INSERT INTO list_start (state, start) VALUES
    ('recording', -1 << 48), ('saved', -2 << 48), ('prepared', -3 << 48), ('queued', -4 << 48), ('sending', -5 << 48),
    ('received', -6 << 48), ('verified', -7 << 48), ('purged', -8 << 48), ('withheld', -9 << 48), ('parked', -10 << 48),
    ('cancelled', -11 << 48);

-- All that a list shows of a capture, twice: in the list of all and in the list of its original's state. Everything in it stands
-- in `capture` and `asset` too, in rows so long that a page of the list would read thirty pages of the database. The key is a whole
-- number, of which three hundred fit into an upper page of the tree, so that those pages stay in memory; of whole lines, which a
-- key with an id or a text needs there, thirty. Kept by the triggers below in the transaction of each change.
CREATE TABLE list_line (
    place      INTEGER PRIMARY KEY,                          -- [stays] capture.number, and that plus the state's start
    capture_id BLOB NOT NULL CHECK (length(capture_id) = 16),  -- [stays]
    asset_id   BLOB NOT NULL CHECK (length(asset_id) = 16),  -- [stays] the original
    kind       TEXT NOT NULL,                                -- [stays]
    state      TEXT,                                         -- [stays] of the original; NULL where the place says it
    created_ms INTEGER NOT NULL,                             -- [stays]
    bytes      INTEGER NOT NULL,                             -- [stays] plaintext bytes of the original
    sha256     BLOB                                          -- [stays] its plaintext digest, NULL until it is closed
) STRICT;

INSERT INTO list_line (place, capture_id, asset_id, kind, state, created_ms, bytes, sha256)
    SELECT capture.number, capture.id, asset_id, listed.kind, state, listed.created_ms, bytes, sha256
      FROM capture CROSS JOIN listed ON listed.capture_id = capture.id ORDER BY capture.number;
INSERT INTO list_line (place, capture_id, asset_id, kind, state, created_ms, bytes, sha256)
    SELECT start + capture.number, capture.id, asset_id, listed.kind, listed.state, listed.created_ms, bytes, sha256
      FROM capture CROSS JOIN listed ON listed.capture_id = capture.id
                   CROSS JOIN list_start ON list_start.state = listed.state ORDER BY capture.number;

-- What the list was read from until now; its triggers are those of `asset` and `capture`.
DROP TRIGGER listed_inserted;
DROP TRIGGER listed_moved;
DROP TRIGGER listed_described;
DROP TRIGGER listed_deleted;
DROP TABLE listed;

CREATE TRIGGER list_line_inserted AFTER INSERT ON asset WHEN NEW.rendition = 'original' BEGIN
    INSERT INTO list_line (place, capture_id, asset_id, kind, state, created_ms, bytes, sha256)
        SELECT number, id, NEW.id, kind, NEW.state, created_ms, NEW.bytes, NEW.sha256
          FROM capture WHERE id = NEW.capture_id;
    INSERT INTO list_line (place, capture_id, asset_id, kind, state, created_ms, bytes, sha256)
        SELECT start + number, id, NEW.id, kind, NULL, created_ms, NEW.bytes, NEW.sha256
          FROM capture JOIN list_start ON list_start.state = NEW.state WHERE id = NEW.capture_id;
END;

CREATE TRIGGER list_line_moved AFTER UPDATE OF state, bytes, sha256 ON asset WHEN NEW.rendition = 'original' BEGIN
    UPDATE list_line SET state = NEW.state, bytes = NEW.bytes, sha256 = NEW.sha256
     WHERE place = (SELECT number FROM capture WHERE id = NEW.capture_id);
    UPDATE list_line SET bytes = NEW.bytes, sha256 = NEW.sha256, place = place
               + (SELECT start FROM list_start WHERE state = NEW.state) - (SELECT start FROM list_start WHERE state = OLD.state)
     WHERE place = (SELECT start FROM list_start WHERE state = OLD.state)
                 + (SELECT number FROM capture WHERE id = NEW.capture_id);
END;

CREATE TRIGGER list_line_described AFTER UPDATE OF number, kind, created_ms ON capture BEGIN
    UPDATE list_line SET place = place - OLD.number + NEW.number, kind = NEW.kind, created_ms = NEW.created_ms
     WHERE place IN (OLD.number, OLD.number + (
               SELECT start FROM asset JOIN list_start ON list_start.state = asset.state
                WHERE asset.capture_id = NEW.id AND asset.rendition = 'original'));
END;

CREATE TRIGGER list_line_deleted AFTER DELETE ON asset WHEN OLD.rendition = 'original' BEGIN
    DELETE FROM list_line WHERE place IN (
        (SELECT number FROM capture WHERE id = OLD.capture_id),
        (SELECT number FROM capture WHERE id = OLD.capture_id) + (SELECT start FROM list_start WHERE state = OLD.state));
END;

-- What people say of a capture later, field by field.
CREATE TABLE annotation (
    capture_id BLOB NOT NULL REFERENCES capture (id) CHECK (length(capture_id) = 16),
    field      TEXT NOT NULL,     -- [leaves: changes feed] a name
    value      TEXT,              -- [leaves: changes feed] NULL: removed, which an older value must not undo
    at_ms      INTEGER NOT NULL,  -- [leaves: changes feed] when it was written, as all devices order it: this,
    at_count   INTEGER NOT NULL CHECK (at_count >= 0),               -- [leaves: changes feed] then this,
    device_id  BLOB NOT NULL CHECK (length(device_id) = 16),         -- [leaves: changes feed] then this
    PRIMARY KEY (capture_id, field)
) STRICT, WITHOUT ROWID;
