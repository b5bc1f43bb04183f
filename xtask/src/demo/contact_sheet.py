"""contact_sheet.py FOLDER OUT: every picture of the folder, side by side, in the order of their names."""
import pathlib
import sys

from PIL import Image

SIDE, GAP, COLUMNS = 300, 8, 5

pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.jpg"))
rows = max(1, -(-len(pictures) // COLUMNS))
sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + GAP) + GAP), "white")
for number, path in enumerate(pictures):
    with Image.open(path) as picture:
        picture.thumbnail((SIDE, SIDE))
        left = GAP + number % COLUMNS * (SIDE + GAP) + (SIDE - picture.width) // 2
        top = GAP + number // COLUMNS * (SIDE + GAP) + (SIDE - picture.height) // 2
        sheet.paste(picture.convert("RGB"), (left, top))
sheet.save(sys.argv[2], quality=88)
