"""judge_models.py FOLDER: cryptography verifies manifests of models that we signed, and signs one that we must accept.

FOLDER/models.json is {"cases": [{"public": base64, "signed": text, "manifest": base64, "claims"}], "seed": base64, "claims"}.
Each case must verify and say exactly these claims and bytes, and must not verify once changed. Then FOLDER/made.json is written:
a manifest signed with the seed and the claims; and FOLDER/refuse/*.json: what somebody could make of it, each of which must be
refused. Prints {"verified": n, "refuse": [name], "failures": [text]}.
"""
import base64
import hashlib
import json
import pathlib
import sys
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group
MANIFEST = '{"schema": "snaptrak.models/1", "version": 7, "models": [], "nöte": "as it is"}\n'.encode()


def b64(data):
    return base64.b64encode(data).decode()


def signed_bytes(envelope, label=b"snaptrak.models/1\n"):
    numbers = b"".join(envelope[name].to_bytes(8, "big") for name in ("version", "issued_ms", "expires_ms"))
    return label + uuid.UUID(envelope["organisation_id"]).bytes + numbers + base64.b64decode(envelope["manifest"])


def judge(case):
    envelope, public = json.loads(case["signed"]), base64.b64decode(case["public"])
    names = {"format", "organisation_id", "version", "issued_ms", "expires_ms", "manifest", "key_id", "signature"}
    assert set(envelope) == names, "other fields"
    assert envelope["format"] == "snaptrak.models/1", "another format"
    assert envelope["key_id"] == hashlib.sha256(public).hexdigest(), "another key id"
    assert envelope["manifest"] == case["manifest"], "other bytes"
    assert {name: envelope[name] for name in case["claims"]} == case["claims"], "other claims"
    key, signature = Ed25519PublicKey.from_public_bytes(public), base64.b64decode(envelope["signature"])
    key.verify(signature, signed_bytes(envelope))
    for name in ("version", "issued_ms", "expires_ms"):
        try:
            key.verify(signature, signed_bytes({**envelope, name: envelope[name] ^ 1}))
        except InvalidSignature:
            continue
        raise AssertionError(f"verifies although {name} was changed")


def sign(key, claims, manifest, label=b"snaptrak.models/1\n"):
    public = key.public_key().public_bytes_raw()
    envelope = {"format": "snaptrak.models/1", **claims, "manifest": b64(manifest)}
    signature = key.sign(signed_bytes(envelope, label))
    return {**envelope, "key_id": hashlib.sha256(public).hexdigest(), "signature": b64(signature)}


def manipulations(key, claims, made):
    """What an attacker could make of it, as (name, text)."""
    signature = base64.b64decode(made["signature"])
    for name, value in [("version", made["version"] + 1), ("issued_ms", made["issued_ms"] - 1),
                        ("expires_ms", made["expires_ms"] + 1), ("organisation_id", str(uuid.UUID(int=1))),
                        ("manifest", b64(MANIFEST[:-1])), ("key_id", "00" * 32), ("format", "snaptrak.trust/1"),
                        ("signature", b64(signature[:-1])), ("signature", ""), ("note", "not signed")]:
        yield f"{name} {str(value)[:8].strip('=/+')}", json.dumps({**made, name: value})
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    yield "second form of the signature", json.dumps({**made, "signature": b64(signature[:32] + scalar.to_bytes(32, "little"))})
    yield "without a label", json.dumps(sign(key, claims, MANIFEST, b""))
    yield "with the label of a trust bundle", json.dumps(sign(key, claims, MANIFEST, b"snaptrak.trust/1\n"))
    stranger = sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), claims, MANIFEST)
    yield "signed by a stranger", json.dumps(stranger)
    yield "signed by a stranger under the right name", json.dumps({**stranger, "key_id": made["key_id"]})
    yield "version twice", json.dumps(made).replace('"version"', '"version": 9, "version"', 1)


def main(folder):
    asked, failures, refuse = json.loads((folder / "models.json").read_text()), [], []
    for number, case in enumerate(asked["cases"]):
        try:
            judge(case)
        except Exception as error:  # noqa: BLE001
            failures.append(f"case {number}: {type(error).__name__} {error}")
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(asked["seed"]))
    made = sign(key, asked["claims"], MANIFEST)
    (folder / "made.json").write_text(json.dumps(made, indent=1))
    (folder / "made.manifest").write_bytes(MANIFEST)
    (folder / "refuse").mkdir()
    for number, (name, text) in enumerate(manipulations(key, asked["claims"], made)):
        (folder / "refuse" / f"{number:02}.json").write_text(text)
        refuse.append(name)
    print(json.dumps({"verified": len(asked["cases"]) - len(failures), "refuse": refuse, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
