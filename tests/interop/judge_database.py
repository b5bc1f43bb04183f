"""judge_database.py FOLDER: SQLCipher as others build it, on OpenSSL, opens the database that snaptrak-store wrote.

FOLDER/database.json is {"file", "key": 64 hexadecimal digits, "page_mac": "HMAC_SHA256" or "HMAC_SHA512"}. Every page must carry its
MAC, the schema must be whole, and a flipped digit of the key must open nothing. Prints {"cipher", "captures", "failures": [text]}.
"""
import json
import pathlib
import sys

import sqlcipher3


def connect(database, key):
    connection = sqlcipher3.connect(database["file"])
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA key = \"x'{key}'\"")
    connection.execute(f"PRAGMA cipher_hmac_algorithm = {database['page_mac']}")
    return connection


def main():
    database = json.loads((pathlib.Path(sys.argv[1]) / "database.json").read_text())
    failures = []
    connection = connect(database, database["key"])
    cipher = connection.execute("PRAGMA cipher_version").fetchone()[0]
    captures = connection.execute("SELECT count(*) FROM capture").fetchone()[0]
    failures += [f"page: {row[0]}" for row in connection.execute("PRAGMA cipher_integrity_check")]
    failures += [f"schema: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    connection.close()
    wrong = ("1" if database["key"][0] == "0" else "0") + database["key"][1:]
    try:
        connect(database, wrong).execute("SELECT count(*) FROM capture")
        failures.append("another key opened it")
    except sqlcipher3.DatabaseError:
        pass
    print(json.dumps({"cipher": cipher, "captures": captures, "failures": failures}))
    return 1 if failures else 0


sys.exit(main())
