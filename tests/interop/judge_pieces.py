"""judge_pieces.py FOLDER: PyPI's tink opens the pieces that snaptrak-seal made, and refuses what was done to them since.

FOLDER/pieces.json is {"data_key": base64, "asset_id", "pieces": [{"file", "index", "bytes", "sha256"}]}. Prints
{"opened": n, "refused": {manipulation: n}, "failures": [text]}; exit 1 if there were failures.
"""
import base64
import hashlib
import json
import pathlib
import sys
import uuid

import open_store

SEGMENT = 65536


def manipulations(sealed):
    """What an attacker or a broken disk could do, as (name, bytes), where the piece is long enough for it."""
    segments = [sealed[at:at + SEGMENT] for at in range(0, len(sealed), SEGMENT)]
    if len(segments) > 1:
        yield "truncated at a segment's edge", b"".join(segments[:-1])
    yield "truncated inside a segment", sealed[:-1]
    yield "truncated inside a segment", sealed[:len(sealed) // 2]
    if len(segments) > 3:
        yield "segments swapped", b"".join([segments[0], segments[2], segments[1], *segments[3:]])
    if len(segments) > 2:
        yield "segment repeated", b"".join([segments[0], segments[1], segments[1], *segments[2:]])
    if len(segments) > 1:
        yield "segment repeated", b"".join([segments[0], *segments])
    if len(segments[-1]) < SEGMENT:
        # Where the last segment is full, tink stops reading behind it: what was appended does not reach the plaintext. Our own
        # reader refuses such a file by its length or as damage, and its digest differs from the envelope's.
        yield "segment repeated", sealed + segments[-1]
    for at in {0, 1, 39, 40, len(sealed) // 2, len(sealed) - 1}:
        yield "bit flipped", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:]


def main(folder):
    vectors = json.loads((folder / "pieces.json").read_text())
    key, asset = base64.b64decode(vectors["data_key"]), uuid.UUID(vectors["asset_id"]).bytes
    opened, refused, failures = 0, {}, []

    def associated_data(index):
        return b"snaptrak.piece/1" + asset + index.to_bytes(4, "big")

    def must_refuse(name, sealed, bound, used_key=key):
        try:
            open_store.open_piece(used_key, bound, sealed)
            failures.append(f"{piece['file']}: accepted although: {name}")
        except Exception:  # noqa: BLE001 - tink raises several kinds, each of them is a refusal
            refused[name] = refused.get(name, 0) + 1

    for piece in vectors["pieces"]:
        sealed, bound = (folder / piece["file"]).read_bytes(), associated_data(piece["index"])
        try:
            plain = open_store.open_piece(key, bound, sealed)
        except Exception as error:  # noqa: BLE001
            failures.append(f"{piece['file']}: {error}")
            continue
        if len(plain) != piece["bytes"] or hashlib.sha256(plain).hexdigest() != piece["sha256"]:
            failures.append(f"{piece['file']}: opened to other bytes")
            continue
        opened += 1
        for name, changed in manipulations(sealed):
            must_refuse(name, changed, bound)
        must_refuse("wrong associated data", sealed, associated_data(piece["index"] + 1))
        must_refuse("wrong key", sealed, bound, bytes(32))
    print(json.dumps({"opened": opened, "refused": refused, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
