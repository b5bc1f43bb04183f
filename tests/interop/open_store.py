"""open_store.py STORE_OR_DOWNLOAD_FOLDER PRIVATE_KEY_FILE OUT: sealed captures back into files, without our software.
Takes envelopes, pieces and journal (no database) and the organisation's private upload key; writes OUT/ASSET_ID, prints
{"opened": {asset id: sha256}, "failures": {place: reason}}; exit 1 if there were any. Formats: core/seal/README.md."""
import base64, hashlib, hmac, io, json, pathlib, sys, uuid  # noqa: E401
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tink import json_proto_keyset_format, secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2 as streaming_pb2

b64 = base64.b64decode
KEMS = {"x-wing": hpke.KEM.MLKEM768_X25519, "dhkem-x25519-hkdf-sha256": hpke.KEM.X25519}

def private_key(file):
    secret, scalar = b64(file["private"]), x25519.X25519PrivateKey.from_private_bytes
    wide = hashlib.shake_256(secret).digest(96)  # X-Wing: the seed of ML-KEM-768, then X25519's scalar
    hybrid = hpke.MLKEM768X25519PrivateKey(mlkem.MLKEM768PrivateKey.from_seed_bytes(wide[:64]), scalar(wide[64:]))
    return scalar(secret) if file["algorithm"] == "x25519" else hybrid

def unwrap(wrap, key, organisation_id, asset):
    info = b"snaptrak.wrap/1" + wrap["recipient"].encode() + uuid.UUID(organisation_id).bytes + asset
    suite = hpke.Suite(KEMS[wrap["kem"]], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    return suite.decrypt(b64(wrap["encapsulated"]) + b64(wrap["ciphertext"]), key, info)

def derive(data_key, purpose, asset):
    return HKDF(hashes.SHA256(), 32, b"", b"snaptrak.envelope/1 " + purpose + asset).derive(data_key)

def open_piece(data_key, bound, sealed):
    params = {"ciphertext_segment_size": 65536, "derived_key_size": 32, "hkdf_hash_type": "SHA256"}
    key = streaming_pb2.AesGcmHkdfStreamingKey(key_value=data_key, params=params).SerializeToString()
    data = {"typeUrl": "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            "value": base64.b64encode(key).decode(), "keyMaterialType": "SYMMETRIC"}
    entry = {"keyData": data, "status": "ENABLED", "keyId": 1, "outputPrefixType": "RAW"}
    streaming_aead.register()
    keyset = json_proto_keyset_format.parse(json.dumps({"primaryKeyId": 1, "key": [entry]}), secret_key_access.TOKEN)
    return keyset.primitive(streaming_aead.StreamingAead).new_decrypting_stream(io.BytesIO(sealed), bound).read()

def open_asset(text, read_piece, key, key_id, out):
    envelope = json.loads(text)
    asset, sealed = uuid.UUID(envelope["asset_id"]).bytes, envelope["metadata"]
    wraps = {wrap["key_id"]: wrap for wrap in envelope["wraps"]}
    data_key = unwrap(wraps[key_id], key, envelope["organisation_id"], asset)
    mac = hmac.new(derive(data_key, b"mac", asset), text.rpartition(b',"hmac":"')[0], "sha256").hexdigest()
    assert hmac.compare_digest(mac, envelope["hmac"]), "the envelope is not authentic"
    gcm, label = AESGCM(derive(data_key, b"metadata", asset)), b"snaptrak.metadata/1" + asset
    metadata, whole = json.loads(gcm.decrypt(b64(sealed["nonce"]), b64(sealed["ciphertext"]), label)), hashlib.sha256()
    part = out / f"{envelope['asset_id']}.part"
    with open(part, "wb") as file:
        for index, (piece, _) in enumerate(zip(metadata["pieces"], envelope["pieces"], strict=True)):
            plain = open_piece(data_key, b"snaptrak.piece/1" + asset + index.to_bytes(4, "big"), read_piece(index))
            assert hashlib.sha256(plain).hexdigest() == piece["sha256"], f"piece {index} is not what was sealed"
            whole.update(plain)
            file.write(plain)
    assert metadata.get("sha256") in (None, whole.hexdigest()), "the asset is not what was sealed"
    part.rename(part.with_suffix(""))
    return envelope["asset_id"], whole.hexdigest()

def main(folder, key_file, out):
    file, sources, opened, failures = json.loads(key_file.read_text()), {}, {}, {}
    out.mkdir(parents=True, exist_ok=True)
    key, key_id = private_key(file), hashlib.sha256(b64(file["public"])).hexdigest()
    journals = (path.read_bytes() for path in sorted(folder.glob("journal/*.jsonl")))
    for line in (line for text in journals for line in text.split(b"\n")[:-1]):  # after the last newline: not finished
        if (entry := json.loads(line))["type"] == "note":
            text, pieces = entry["envelope"].encode(), entry["pieces"]  # a later entry of the same note replaces it
            sources[json.loads(text)["asset_id"]] = (text, lambda index, pieces=pieces: b64(pieces[index]))
    for path in folder.rglob("envelope.json"):
        sources[str(path)] = (path.read_bytes(), lambda i, path=path: (path.parent / f"{i:08}.piece").read_bytes())
    for place, (text, read_piece) in sources.items():
        try:
            opened.update([open_asset(text, read_piece, key, key_id, out)])
        except Exception as error:  # noqa: BLE001 - one that does not open must not keep the others closed
            failures[place] = f"{type(error).__name__}: {error}"
    print(json.dumps({"opened": opened, "failures": failures}))
    return 1 if failures else 0

if __name__ == "__main__":
    sys.exit(main(*map(pathlib.Path, sys.argv[1:4])))
