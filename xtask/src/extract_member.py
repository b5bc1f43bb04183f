"""Writes one member of a wheel, sdist or npm package (or a range of its bytes) to a file.

    extract_member.py ARCHIVE MEMBER OFFSET BYTES TARGET     (BYTES -1: to the end)
"""

import sys
import tarfile
import zipfile

archive, member, offset, length, target = sys.argv[1:]
if zipfile.is_zipfile(archive):
    content = zipfile.ZipFile(archive).read(member)
else:
    file = tarfile.open(archive).extractfile(member)
    if file is None:
        sys.exit(f"{member} is not a file")
    content = file.read()
start = int(offset)
end = len(content) if int(length) < 0 else start + int(length)
with open(target, "wb") as file:
    file.write(content[start:end])
