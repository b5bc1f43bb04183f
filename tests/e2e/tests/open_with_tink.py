"""Opens an asset with Google's Tink: reads what `snaptrak export-key --json` printed, writes the plaintext.

Nothing of SnapTrak's software is used: the keyset is Tink's own format, and each piece is one Tink stream.
"""
import base64
import json
import pathlib
import sys

from tink import json_proto_keyset_format, secret_key_access, streaming_aead

streaming_aead.register()
exported = json.load(sys.stdin)
keyset = pathlib.Path(exported["keyset"]).read_text(encoding="utf-8")
primitive = json_proto_keyset_format.parse(keyset, secret_key_access.TOKEN).primitive(streaming_aead.StreamingAead)
for piece in exported["pieces"]:
    with open(piece["path"], "rb") as sealed:
        associated_data = base64.b64decode(piece["associated_data_b64"])
        with primitive.new_decrypting_stream(sealed, associated_data) as stream:
            sys.stdout.buffer.write(stream.read())
