"""Makes the sample files that no package ships, from files that packages ship or from nothing. The bytes are the same on
every machine that has the pinned Pillow (xtask/requirements/tools.txt); tests/pictures/pictures.json pins their digests.

    derive.py RECIPE TARGET [SOURCE]
"""

import struct
import sys
import zlib

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base


def turned_jpeg(source, target):
    """A phone held upright: the sensor's pixels lie on their side and EXIF orientation 6 says so. Time and place are made
    up; opened upright, the picture is the source again (but for the loss of a JPEG of quality 92)."""
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    exif[Base.Make] = "SnapTrak"
    exif[Base.Model] = "Sample"
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "2026:03:14 15:09:26",
            Base.OffsetTimeOriginal: "+01:00",
            Base.SubsecTimeOriginal: "535",
        }
    )
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSLatitudeRef: "N",
            GPS.GPSLatitude: (47.0, 30.0, 36.0),
            GPS.GPSLongitudeRef: "E",
            GPS.GPSLongitude: (9.0, 45.0, 18.0),
        }
    )
    upright = Image.open(source).convert("RGB")
    upright.transpose(Image.Transpose.ROTATE_90).save(target, "JPEG", quality=92, subsampling="4:2:0", exif=exif)


def bomb_png(target):
    """A valid PNG of 314 KB that unpacks to 20,000 x 20,000 black pixels: 400 MB in grey, 1.2 GB in RGB. The deflate
    stream is written by hand, since every zlib compresses a little differently."""
    side = 20_000
    row_bytes = 1 + side // 8
    total = side * row_bytes
    # One fixed-Huffman block: a literal zero, then copies of 258 bytes at distance 1, then literal zeros for the rest.
    literal_zero, copy_258, end = "00110000", "11000101" + "00000", "0000000"
    copies, rest = divmod(total - 1, 258)
    bits = "1" + "10" + literal_zero + copy_258 * copies + literal_zero * rest + end
    bits += "0" * (-len(bits) % 8)
    packed = int(bits[::-1], 2).to_bytes(len(bits) // 8, "little")
    adler = 1
    row = bytes(row_bytes)
    for _ in range(side):
        adler = zlib.adler32(row, adler)
    data = b"\x78\x01" + packed + struct.pack(">I", adler)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    with open(target, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def half_file(source, target):
    """The first half of a good file, as a full disk or a dying app leaves it."""
    with open(source, "rb") as file:
        content = file.read()
    with open(target, "wb") as file:
        file.write(content[: len(content) // 2])


RECIPES = {"turned_jpeg": turned_jpeg, "bomb_png": bomb_png, "half_file": half_file}

if __name__ == "__main__":
    recipe, target, *sources = sys.argv[1:]
    RECIPES[recipe](*sources, target)
