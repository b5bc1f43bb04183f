"""download_sealed.py URL EMAIL PASSWORD_FILE OUT: every envelope and sealed piece of an account, with nothing but HTTP.

Writes OUT/assets/ASSET_ID/envelope.json and OUT/assets/ASSET_ID/NNNNNNNN.piece, the shape that open_store.py reads.
"""
import json
import pathlib
import sys
import urllib.request

url, email, password_file, out = sys.argv[1:5]


def ask(path, body=None, token=None):
    request = urllib.request.Request(url + path, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


password = pathlib.Path(password_file).read_text(encoding="utf-8").rstrip("\n")
token = json.loads(ask("/v1/sessions", {"email": email, "password": password}))["access_token"]
after, assets = "", 0
while True:
    page = json.loads(ask(f"/v1/captures?limit=100{after}", token=token))
    for capture in page["captures"]:
        for asset in json.loads(ask(f"/v1/captures/{capture['id']}", token=token))["assets"]:
            folder = pathlib.Path(out, "assets", asset["id"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "envelope.json").write_bytes(ask(f"/v1/assets/{asset['id']}/envelope", token=token))
            for piece in asset["pieces"]:
                sealed = ask(f"/v1/assets/{asset['id']}/pieces/{piece['index']}", token=token)
                (folder / f"{piece['index']:08}.piece").write_bytes(sealed)
            assets += 1
    if not page.get("next"):
        break
    after = "&after=" + page["next"]
print(json.dumps({"assets": assets}))
