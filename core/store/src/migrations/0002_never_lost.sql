-- Version 2: intake of notes, tombstones, what is kept, and counts that do not grow with the store. A shipped file never
-- changes (a test holds its checksum). [stays], [leaves: how] as in version 1.

-- The same index stood here twice.
DROP INDEX asset_incoming;

-- Whoever looks for work must not walk past what is none yet: a million pieces that nobody has let out, or that policy keeps
-- here. So that is a place in the index, kept by the triggers below.
ALTER TABLE step ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1, 2));
    -- [stays] 0: not held; 1: a send_piece whose piece is still `sealed`; 2: policy withholds the asset
UPDATE step SET held = 1 WHERE kind = 'send_piece' AND EXISTS (SELECT 1 FROM piece
    WHERE piece.asset_id = step.asset_id AND piece.piece_index = step.piece_index AND piece.state = 'sealed');
UPDATE step SET held = 2 WHERE kind IN ('send_envelope', 'send_piece', 'fetch_receipt')
    AND asset_id IN (SELECT id FROM asset WHERE withheld = 1);
DROP INDEX step_ready;
CREATE INDEX step_ready ON step (kind, state, held, waits_for, not_before_ms, bytes / 4194304, id);

CREATE TRIGGER step_let_out AFTER UPDATE OF state ON piece WHEN (NEW.state = 'sealed') <> (OLD.state = 'sealed') BEGIN
    UPDATE step SET held = (NEW.state = 'sealed')
     WHERE asset_id = NEW.asset_id AND kind = 'send_piece' AND piece_index = NEW.piece_index AND held <> 2;
END;

CREATE TRIGGER step_withheld AFTER UPDATE OF withheld ON asset WHEN NEW.withheld <> OLD.withheld BEGIN
    UPDATE step SET held = CASE
        WHEN NEW.withheld = 1 THEN 2
        WHEN kind = 'send_piece' THEN EXISTS (SELECT 1 FROM piece WHERE piece.asset_id = NEW.id
                                                 AND piece.piece_index = step.piece_index AND piece.state = 'sealed')
        ELSE 0 END
     WHERE asset_id = NEW.id AND kind IN ('send_envelope', 'send_piece', 'fetch_receipt');
END;

-- All that a line of the list shows, without the rows, which hold metadata and envelopes.
CREATE INDEX capture_listed ON capture (id, kind, created_ms);
CREATE INDEX asset_listed ON asset (rendition, capture_id, id, state, bytes, sha256);

-- The steps of an asset had no index that begins with the asset, which deleting an asset looks for (its foreign key).
DROP INDEX step_of_capture;
CREATE INDEX step_of_capture ON step (capture_id, kind);
CREATE INDEX step_of_asset ON step (asset_id, kind, piece_index);

-- What is parked, by why (an engine arrived), by when it comes back, and oldest first: each without reading the others.
DROP INDEX step_parked;
CREATE INDEX step_parked ON step (kind, reason ->> '$.code', id) WHERE state = 'parked';
CREATE INDEX step_parked_oldest ON step (id) WHERE state = 'parked';
CREATE INDEX step_revival ON step (not_before_ms) WHERE state = 'parked' AND not_before_ms IS NOT NULL;

-- Notes that are durable and not yet capture, asset, piece and steps: one narrow row is all that a caller waits for. Whoever
-- reads anything settles them first, in this order.
CREATE TABLE intake (
    number INTEGER PRIMARY KEY,  -- [stays] order of arrival
    entry  BLOB NOT NULL         -- [stays] JSON: ids, metadata, text
) STRICT;

-- What the app or the person does not want dropped, and what was looked at lately.
CREATE TABLE keep (
    capture_id BLOB PRIMARY KEY REFERENCES capture (id) CHECK (length(capture_id) = 16),
    pinned     INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),  -- [stays]
    viewed_ms  INTEGER                                               -- [stays] when it was last viewed
) STRICT, WITHOUT ROWID;

-- What a purge may look at, oldest first: a store of a million notes has nothing to free.
CREATE INDEX asset_to_drop ON asset (rendition, capture_id) WHERE state = 'verified' AND envelope IS NULL;

-- A file in `assets/` is deleted only by a row of this table.
CREATE TABLE tombstone (
    asset_id    BLOB NOT NULL REFERENCES asset (id),
    piece_index INTEGER NOT NULL CHECK (piece_index >= 0),
    reason      TEXT NOT NULL CHECK (reason IN ('purged', 'cancelled', 'erased')),  -- [stays]
    at_ms       INTEGER NOT NULL,                                                   -- [stays]
    removed     INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),               -- [stays] the file is gone
    PRIMARY KEY (asset_id, piece_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstone_to_remove ON tombstone (asset_id, piece_index) WHERE removed = 0;

-- How many assets are in which state, and their sealed bytes. Kept by the triggers below in the transaction of each change, so
-- that counting a million captures reads a dozen rows.
CREATE TABLE tally (
    rendition    TEXT NOT NULL,               -- [stays]
    state        TEXT NOT NULL,               -- [stays] of the asset
    assets       INTEGER NOT NULL DEFAULT 0,  -- [stays]
    unsent_bytes INTEGER NOT NULL DEFAULT 0,  -- [leaves: status report] sealed bytes that the server does not hold
    local_bytes  INTEGER NOT NULL DEFAULT 0,  -- [stays] sealed bytes in files of this device
    PRIMARY KEY (rendition, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE step_tally (
    kind  TEXT NOT NULL,
    state TEXT NOT NULL,
    steps INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tally_asset_inserted AFTER INSERT ON asset BEGIN
    INSERT INTO tally (rendition, state, assets) VALUES (NEW.rendition, NEW.state, 1)
        ON CONFLICT (rendition, state) DO UPDATE SET assets = assets + 1;
END;

CREATE TRIGGER tally_asset_moved AFTER UPDATE OF state ON asset WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO tally (rendition, state, assets, unsent_bytes, local_bytes)
        SELECT NEW.rendition, NEW.state, 1,
               coalesce(sum(CASE WHEN state IN ('sealed', 'queued', 'sending') THEN sealed_bytes END), 0),
               coalesce(sum(CASE WHEN state <> 'purged' AND sealed IS NULL THEN sealed_bytes END), 0)
          FROM piece WHERE asset_id = NEW.id
        ON CONFLICT (rendition, state) DO UPDATE SET assets = assets + 1,
            unsent_bytes = unsent_bytes + excluded.unsent_bytes, local_bytes = local_bytes + excluded.local_bytes;
    UPDATE tally SET assets = assets - 1,
        unsent_bytes = unsent_bytes - (SELECT coalesce(sum(sealed_bytes), 0) FROM piece
            WHERE asset_id = NEW.id AND state IN ('sealed', 'queued', 'sending')),
        local_bytes = local_bytes - (SELECT coalesce(sum(sealed_bytes), 0) FROM piece
            WHERE asset_id = NEW.id AND state <> 'purged' AND sealed IS NULL)
      WHERE rendition = OLD.rendition AND state = OLD.state;
END;

CREATE TRIGGER tally_asset_deleted AFTER DELETE ON asset BEGIN
    UPDATE tally SET assets = assets - 1 WHERE rendition = OLD.rendition AND state = OLD.state;
END;

CREATE TRIGGER tally_piece_inserted AFTER INSERT ON piece BEGIN
    UPDATE tally SET
        unsent_bytes = unsent_bytes + iif(NEW.state IN ('sealed', 'queued', 'sending'), NEW.sealed_bytes, 0),
        local_bytes = local_bytes + iif(NEW.state <> 'purged' AND NEW.sealed IS NULL, NEW.sealed_bytes, 0)
      WHERE (rendition, state) = (SELECT rendition, state FROM asset WHERE id = NEW.asset_id);
END;

CREATE TRIGGER tally_piece_moved AFTER UPDATE OF state ON piece WHEN NEW.state <> OLD.state BEGIN
    UPDATE tally SET
        unsent_bytes = unsent_bytes + iif(NEW.state IN ('sealed', 'queued', 'sending'), NEW.sealed_bytes, 0)
                                    - iif(OLD.state IN ('sealed', 'queued', 'sending'), OLD.sealed_bytes, 0),
        local_bytes = local_bytes + iif(NEW.state <> 'purged' AND NEW.sealed IS NULL, NEW.sealed_bytes, 0)
                                  - iif(OLD.state <> 'purged' AND OLD.sealed IS NULL, OLD.sealed_bytes, 0)
      WHERE (rendition, state) = (SELECT rendition, state FROM asset WHERE id = NEW.asset_id);
END;

CREATE TRIGGER tally_piece_deleted AFTER DELETE ON piece BEGIN
    UPDATE tally SET
        unsent_bytes = unsent_bytes - iif(OLD.state IN ('sealed', 'queued', 'sending'), OLD.sealed_bytes, 0),
        local_bytes = local_bytes - iif(OLD.state <> 'purged' AND OLD.sealed IS NULL, OLD.sealed_bytes, 0)
      WHERE (rendition, state) = (SELECT rendition, state FROM asset WHERE id = OLD.asset_id);
END;

CREATE TRIGGER tally_step_inserted AFTER INSERT ON step BEGIN
    INSERT INTO step_tally (kind, state, steps) VALUES (NEW.kind, NEW.state, 1)
        ON CONFLICT (kind, state) DO UPDATE SET steps = steps + 1;
END;

CREATE TRIGGER tally_step_moved AFTER UPDATE OF state ON step WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO step_tally (kind, state, steps) VALUES (NEW.kind, NEW.state, 1)
        ON CONFLICT (kind, state) DO UPDATE SET steps = steps + 1;
    UPDATE step_tally SET steps = steps - 1 WHERE kind = OLD.kind AND state = OLD.state;
END;

CREATE TRIGGER tally_step_deleted AFTER DELETE ON step BEGIN
    UPDATE step_tally SET steps = steps - 1 WHERE kind = OLD.kind AND state = OLD.state;
END;

-- What is there already.
INSERT INTO tally (rendition, state, assets, unsent_bytes, local_bytes)
    SELECT asset.rendition, asset.state, count(DISTINCT asset.id),
           coalesce(sum(CASE WHEN piece.state IN ('sealed', 'queued', 'sending') THEN piece.sealed_bytes END), 0),
           coalesce(sum(CASE WHEN piece.state <> 'purged' AND piece.sealed IS NULL THEN piece.sealed_bytes END), 0)
      FROM asset LEFT JOIN piece ON piece.asset_id = asset.id GROUP BY asset.rendition, asset.state;
INSERT INTO step_tally (kind, state, steps) SELECT kind, state, count(*) FROM step GROUP BY kind, state;
