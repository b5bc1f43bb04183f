"""judge_receipts.py FOLDER: pycose verifies the receipts and countersignatures that snaptrak-seal made.

FOLDER/receipts.json is {"cases": [{"content_type", "public": base64 SEC1, "signed": base64 COSE_Sign1, "claims"}]}, claims with
byte strings as hexadecimal. Each must verify, say exactly these claims in deterministic CBOR, and not verify once changed.
Prints {"verified": n, "failures": [text]}.
"""
import base64
import hashlib
import json
import pathlib
import sys

import cbor2
from pycose.algorithms import Es256
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import EC2Key
from pycose.keys.curves import P256
from pycose.messages import CoseMessage


def plain(value):
    """CBOR values as JSON has them."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def judge(case):
    public = base64.b64decode(case["public"])
    key = EC2Key(crv=P256, x=public[1:33], y=public[33:])
    message = CoseMessage.decode(base64.b64decode(case["signed"]))
    message.key = key
    assert message.verify_signature(), "the signature does not verify"
    assert message.phdr[Algorithm] is Es256, "another algorithm"
    assert message.phdr[KID] == hashlib.sha256(public).digest(), "another key id"
    assert message.phdr[ContentType] == case["content_type"], "another content type"
    assert message.uhdr == {}, "unprotected headers"
    claims = cbor2.loads(message.payload)
    assert plain(claims) == case["claims"], "other claims"
    assert cbor2.dumps(claims, canonical=True) == message.payload, "not deterministic CBOR"
    message.payload = message.payload[:-1] + bytes([message.payload[-1] ^ 1])
    assert not message.verify_signature(), "verifies although changed"


def main(folder):
    cases, failures = json.loads((folder / "receipts.json").read_text())["cases"], []
    for number, case in enumerate(cases):
        try:
            judge(case)
        except Exception as error:  # noqa: BLE001
            failures.append(f"case {number}: {type(error).__name__} {error}")
    print(json.dumps({"verified": len(cases) - len(failures), "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
