"""judge_wraps.py FOLDER: pyhpke (X25519) and cryptography (X-Wing) open the wraps that snaptrak-seal made.

FOLDER/wraps.json is {"data_key": base64, "cases": [{"key": private key file, "organisation_id", "asset_id", "wrap"}]}. Each
wrap must open to the data key, and must not open for another asset. Prints {"opened": {kem: n}, "failures": [text]}.
"""
import base64
import json
import pathlib
import sys
import uuid

import open_store
from pyhpke import AEADId, CipherSuite, KDFId, KEMId


def unwrap(wrap, key, organisation_id, asset):
    if wrap["kem"] == "x-wing":
        return open_store.unwrap(wrap, open_store.private_key(key), organisation_id, asset)
    suite = CipherSuite.new(KEMId(wrap["kem_id"]), KDFId(wrap["kdf_id"]), AEADId(wrap["aead_id"]))
    private = suite.kem.deserialize_private_key(base64.b64decode(key["private"]))
    info = b"snaptrak.wrap/1" + wrap["recipient"].encode() + uuid.UUID(organisation_id).bytes + asset
    context = suite.create_recipient_context(base64.b64decode(wrap["encapsulated"]), private, info=info)
    return context.open(base64.b64decode(wrap["ciphertext"]), b"")


def main(folder):
    vectors = json.loads((folder / "wraps.json").read_text())
    data_key, opened, failures = base64.b64decode(vectors["data_key"]), {}, []
    for number, case in enumerate(vectors["cases"]):
        wrap, asset = case["wrap"], uuid.UUID(case["asset_id"]).bytes
        place = f"case {number} ({wrap['kem']}, {wrap['recipient']})"
        try:
            if unwrap(wrap, case["key"], case["organisation_id"], asset) != data_key:
                failures.append(f"{place}: opened to another key")
            opened[wrap["kem"]] = opened.get(wrap["kem"], 0) + 1
        except Exception as error:  # noqa: BLE001
            failures.append(f"{place}: {type(error).__name__} {error}")
        try:
            unwrap(wrap, case["key"], case["organisation_id"], bytes(16))
            failures.append(f"{place}: opened for another asset")
        except Exception:  # noqa: BLE001 - the libraries raise several kinds, each of them is a refusal
            pass
    print(json.dumps({"opened": opened, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
