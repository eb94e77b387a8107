"""Makes the pictures in `data`, and prints how Pillow reads them truncated and with bytes appended.

make setup
python3 -m pip install pillow==13.0.0
python3 crates/picture/tests/reference.py

For each file it prints the length, and the shortest prefix that Pillow (with libjpeg-turbo 3.2.0) reads, in bytes.
The photograph is part of scikit-image 0.26.0, which `make setup` fetches.
"""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

DATA = Path(__file__).parent / "data"
PHOTOGRAPH = Path(__file__).resolve().parents[3] / ".deps/python/skimage/data/rocket.jpg"


def reads(file):
    try:
        Image.open(io.BytesIO(file)).load()
        return True
    except (OSError, SyntaxError):
        return False


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def interlaced(picture):
    """Returns an RGB PNG file in Adam7 order, which Pillow reads but does not write."""
    pixels, (width, height) = picture.load(), picture.size
    lines = b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ):
        for y in range(y0, height, dy):
            line = b"".join(bytes(pixels[x, y]) for x in range(x0, width, dx))
            lines += b"\0" + line if line else b""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    content = zlib.compress(lines, 9)
    half = len(content) // 2
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        + chunk(b"IDAT", content[:half]) + chunk(b"IDAT", content[half:]) + chunk(b"IEND", b"")
    )


photograph = Image.open(PHOTOGRAPH).convert("RGB")
picture = photograph.crop((280, 330, 280 + 61, 330 + 45))
thumbnail = saved(picture.resize((8, 8)), "JPEG")
exif = b"Exif\0\0" + thumbnail
files = {
    "baseline.jpg": saved(picture, "JPEG", quality=70),
    "restarts.jpg": saved(picture, "JPEG", quality=70, subsampling=0, restart_marker_rows=1),
    "grey.jpg": saved(picture.convert("L"), "JPEG", quality=70),
    "thumbnail.jpg": saved(picture, "JPEG", quality=70, exif=exif),
    "progressive.jpg": saved(picture, "JPEG", quality=70, progressive=True),
    "grey_progressive.jpg": saved(picture.convert("L"), "JPEG", quality=70, progressive=True),
    "plain.png": saved(picture, "PNG"),
    "palette.png": saved(picture.convert("P"), "PNG"),
    "interlaced.png": interlaced(picture),
}
for name, file in files.items():
    (DATA / name).write_bytes(file)
    read = [length for length in range(len(file) + 1) if reads(file[:length])]
    assert read == list(range(read[0], len(file) + 1)), name
    print(name, len(file), read[0])
    for tail in (bytes(9), b"\xff\xd8\xff", b"garbage"):
        assert reads(file + tail), name
for name in ("baseline.jpg", "progressive.jpg"):
    print(name, "end replaced by zeros:", reads(files[name][:-2] + bytes(64)))
    print(name, "fill bytes before the end marker:", reads(files[name][:-2] + b"\xff\xff\xff\xd9"))
    print(name, "cut, with an end marker:", reads(files[name][:len(files[name]) - 60] + b"\xff\xd9"))
