"""A catalogue of unusual and broken picture files, each with what must become of it.

Run as `python pictures.py FOLDER SEED FIRST LAST` it is the reader of mutated files, in a process that may hang or die.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

from stackclip.data.images import FORMATS, picture_size, read_picture
from stackclip.errors import PictureError

HEIGHT, WIDTH = 12, 16
GREY = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
COLOURS = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SECONDS = 10  # for one file

Maker = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A file: what makes it, and its outcome, (H, W, 3) or (H, W) pixels (`within` levels) or words of the refusal."""

    make: Maker
    outcome: np.ndarray | str
    name: str = "picture.png"
    within: int = 0
    unless: Callable[[], bool] | None = None


def saved(pixels: np.ndarray | Image.Image, kind: str, **how: Any) -> Maker:
    """A file that Pillow writes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return lambda path: image.save(path, format=kind, **how)


def raw(data: bytes) -> Maker:
    """A file of these bytes."""
    return lambda path: path.write_bytes(data)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **how: Any) -> bytes:
    """The bytes that Pillow writes."""
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, format=kind, **how)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG made by hand; `extra` are chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def rows(pixels: np.ndarray) -> bytes:
    """The packed pixel rows of a PNG, unfiltered."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def turned(orientation: int, kind: str) -> Maker:
    """A picture that a camera held otherwise."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(NOISE, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


def upright(orientation: int) -> np.ndarray:
    """What must be seen of it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.open(io.BytesIO(encoded(NOISE, "PNG", exif=exif)))
    return np.asarray(ImageOps.exif_transpose(picture))


def palette(transparency: int | bytes | None = None) -> Maker:
    """A picture of 256 colours."""
    image = Image.fromarray(GREY).convert("P")
    image.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    return saved(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def bmp(bits: int, height: int = HEIGHT) -> bytes:
    """A BMP header for so many bits a pixel, and too few pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory, its bytes behind it."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + directory + b"\0\0\0\0" + data


def looped_tiff() -> bytes:
    """A TIFF whose next directory is the same one again."""
    data = bytearray(encoded(GREY, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    return bytes(data)


def floats(*values: float) -> Maker:
    """A TIFF of float grey."""
    return saved(np.resize(np.array(values, np.float32), (HEIGHT, WIDTH)), "TIFF")


def animated(kind: str, **how: Any) -> Maker:
    """Three frames, the first red."""
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ((250, 10, 10), (10, 250, 10), (10, 10, 250))]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **how)


def cut(kind: str, share: float) -> Maker:
    """A file whose end is missing."""
    data = encoded(np.kron(NOISE, np.ones((6, 6, 1), np.uint8)), kind)
    return raw(data[: int(len(data) * share)])


def bomb(width: int, height: int) -> bytes:
    """A few bytes that declare very many pixels."""
    return png(width, height, 1, 0, zlib.compress(b"\0"))


def socketed(path: Path) -> None:
    """A socket; the name is short because sockets' names must be."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


SIXTEEN = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 300
RED = np.broadcast_to(np.array([250, 10, 10], np.uint8), (HEIGHT, WIDTH, 3))
ALPHA = np.dstack([NOISE, GREY])
TEXT = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 3_000_000))
WINDOWS = os.name == "nt"


def is_root() -> bool:
    """Whether permissions mean nothing."""
    return WINDOWS or os.geteuid() == 0


def wants_text() -> bool:
    """Whether names of files must be text."""
    return WINDOWS or sys.platform == "darwin"


CASES: dict[str, Case] = {
    # what is unusual and is read
    "8-bit grey": Case(saved(GREY, "PNG"), GREY),
    "16-bit grey": Case(saved(SIXTEEN, "PNG"), ((SIXTEEN.astype(int) + 128) // 257).astype(np.uint8)),
    "16-bit grey, dark": Case(
        saved(SIXTEEN // 300, "PNG"), ((SIXTEEN.astype(int) // 300 + 128) // 257).astype(np.uint8)
    ),
    "16-bit grey TIFF": Case(saved(SIXTEEN, "TIFF"), ((SIXTEEN.astype(int) + 128) // 257).astype(np.uint8), "a.tif"),
    "16-bit colour": Case(
        raw(png(WIDTH, HEIGHT, 16, 2, rows((NOISE.astype(">u2") * 257).reshape(HEIGHT, -1)))), NOISE, within=1
    ),
    "16-bit grey with alpha": Case(
        raw(png(WIDTH, HEIGHT, 16, 4, rows(np.dstack([GREY, GREY]).astype(">u2").reshape(HEIGHT, -1) * 257))),
        GREY,
        within=1,
    ),
    "1 bit": Case(saved(GREY > 90, "PNG"), np.where(GREY > 90, 255, 0).astype(np.uint8)),
    "4-bit grey": Case(
        raw(png(WIDTH, HEIGHT, 4, 0, rows(GREY[:, ::2] // 16 * 17))), np.repeat(GREY[:, ::2] // 16 * 17, 2, axis=1)
    ),
    "grey with alpha": Case(saved(np.dstack([GREY, GREY]), "PNG"), GREY),
    "colour with alpha": Case(saved(ALPHA, "PNG"), NOISE),
    "fully transparent": Case(saved(np.dstack([NOISE, np.zeros_like(GREY)]), "PNG"), NOISE),
    "a transparent colour": Case(saved(NOISE, "PNG", transparency=(1, 2, 3)), NOISE),
    "a palette": Case(palette(), np.stack([GREY, 255 - GREY, GREY // 2], axis=2)),
    "a palette with a clear colour": Case(palette(3), np.stack([GREY, 255 - GREY, GREY // 2], axis=2)),
    "a palette with alpha": Case(palette(bytes(range(256))), np.stack([GREY, 255 - GREY, GREY // 2], axis=2)),
    "CMYK TIFF": Case(saved(Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)), "TIFF"), RED // 250 * 255, "a.tiff"),
    "CMYK JPEG": Case(
        saved(Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)), "JPEG"), RED // 250 * 255, "a.jpg", within=6
    ),
    "YCbCr TIFF": Case(
        saved(Image.fromarray(NOISE).convert("YCbCr"), "TIFF"),
        NOISE,
        "a.tif",
        within=4,
        unless=lambda: int(PIL.__version__.split(".")[0]) < 13,  # which takes it for one that is cut short
    ),
    "LAB TIFF": Case(
        saved(Image.new("LAB", (WIDTH, HEIGHT), (255, 128, 128)), "TIFF"), np.full_like(NOISE, 255), "a.tif", within=3
    ),
    "float grey": Case(floats(0, 0.5, 1), np.resize(np.array([0, 128, 255], np.uint8), (HEIGHT, WIDTH)), "a.tif"),
    "32-bit grey within 16 bits": Case(
        saved(SIXTEEN.astype(np.int32), "TIFF"), ((SIXTEEN.astype(int) + 128) // 257).astype(np.uint8), "a.tif"
    ),
    "progressive JPEG": Case(saved(RED.copy(), "JPEG", progressive=True), RED, "a.jpg", within=6),
    "grey JPEG": Case(saved(np.full_like(GREY, 77), "JPEG"), np.full_like(GREY, 77), "a.jpg", within=3),
    "JPEG with another's extension": Case(saved(RED.copy(), "JPEG"), RED, "a.png", within=6),
    "JPEG with bytes behind its end": Case(raw(encoded(RED.copy(), "JPEG") + b"\0" * 5000), RED, "a.jpg", within=6),
    "JPEG with a damaged colour profile": Case(
        saved(RED.copy(), "JPEG", icc_profile=b"x" * 99), RED, "a.jpg", within=6
    ),
    "JPEG with damaged EXIF": Case(
        saved(RED.copy(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40), RED, "a.jpg", within=6
    ),
    "EXIF without a known orientation": Case(turned(9, "PNG"), NOISE),
    **{
        f"EXIF orientation {number} in {kind}": Case(turned(number, kind), upright(number), f"a.{kind.lower()}")
        for number, kind in ((2, "PNG"), (3, "WEBP"), (4, "PNG"), (5, "WEBP"), (6, "PNG"), (7, "TIFF"), (8, "WEBP"))
    },
    "interlaced PNG": Case(saved(NOISE, "PNG", interlace=1), NOISE),
    "PNG with bytes behind its end": Case(raw(encoded(NOISE, "PNG") + b"more"), NOISE),
    "PNG with many texts": Case(raw(png(WIDTH, HEIGHT, 8, 0, rows(GREY), *[chunk(b"tEXt", b"a\0b")] * 500)), GREY),
    "PNG with a gamma of 0": Case(raw(png(WIDTH, HEIGHT, 8, 0, rows(GREY), chunk(b"gAMA", bytes(4)))), GREY),
    "one pixel": Case(saved(NOISE[:1, :1], "PNG"), NOISE[:1, :1]),
    "a thousand times as wide as high": Case(saved(np.resize(GREY, (1, 4000)), "PNG"), np.resize(GREY, (1, 4000))),
    "BMP from top to bottom": Case(raw(bmp(24, -HEIGHT) + NOISE[..., ::-1].tobytes()), NOISE, "a.bmp"),
    "WebP with alpha": Case(saved(ALPHA, "WEBP", lossless=True, exact=True), NOISE, "a.webp"),
    "LZW TIFF": Case(saved(NOISE, "TIFF", compression="tiff_lzw"), NOISE, "a.tif"),
    "big-endian TIFF": Case(
        raw(
            b"MM\0*\0\0\0\x08"
            + struct.pack(">H", 7)
            + b"".join(
                struct.pack(">HHIHH", tag, 3, 1, value, 0)
                for tag, value in ((256, WIDTH), (257, HEIGHT), (258, 8), (259, 1), (262, 1))
            )
            + struct.pack(">HHII", 273, 4, 1, 98)
            + struct.pack(">HHII", 279, 4, 1, GREY.size)
            + bytes(4)
            + GREY.tobytes()
        ),
        GREY,
        "a.tif",
    ),
    "a TIFF whose directories go in a circle": Case(raw(looped_tiff()), GREY, "a.tif"),
    "animated GIF": Case(animated("GIF"), RED, "a.gif", within=3),
    "animated PNG": Case(animated("PNG"), RED),
    "animated WebP": Case(animated("WEBP", lossless=True), RED, "a.webp"),
    "TIFF of three pages": Case(animated("TIFF"), RED, "a.tif"),
    "a name with spaces": Case(saved(NOISE, "PNG"), NOISE, " a picture .png"),
    "a name in other scripts": Case(saved(NOISE, "PNG"), NOISE, "größe 图片 صورة 🔩.png"),
    "a name of 200 characters": Case(saved(NOISE, "PNG"), NOISE, "x" * 196 + ".png"),
    "a name with markup and quotes": Case(saved(NOISE, "PNG"), NOISE, "[red]'a' & \"b\"%s{0}.png"),
    "a name with a line break": Case(saved(NOISE, "PNG"), NOISE, "a\nb.png"),
    "a name that is no text": Case(saved(NOISE, "PNG"), NOISE, os.fsdecode(b"a\xff.png"), unless=wants_text),
    "a link to a picture": Case(
        lambda path: (saved(NOISE, "PNG")(path.with_name("target")), path.symlink_to("target")), NOISE
    ),
    # what is refused
    "no such file": Case(lambda path: None, "no such file"),
    "an empty file": Case(raw(b""), "empty file"),
    "one byte": Case(raw(b"\x89"), "not a picture"),
    "text": Case(raw(b"not a picture\n"), "not a picture"),
    "zeros": Case(raw(bytes(5000)), "not a picture"),
    "SVG": Case(
        raw(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'), "not a picture"
    ),
    "EPS, which would start a program": Case(
        raw(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"), "not a picture"
    ),
    "PDF": Case(raw(b"%PDF-1.4\n"), "not a picture"),
    "ICO": Case(saved(Image.fromarray(NOISE), "ICO"), "not a picture"),
    "PPM": Case(saved(NOISE, "PPM"), "not a picture"),
    "a numpy file with a pickle": Case(raw(b"\x93NUMPY\x01\0" + b"\x80\x04"), "not a picture"),
    "a folder": Case(Path.mkdir, "a folder"),
    "a pipe": Case(os.mkfifo, "a named pipe", unless=lambda: WINDOWS),
    "a socket": Case(socketed, "a socket", "s.png", unless=lambda: WINDOWS),
    "a device": Case(lambda path: path.symlink_to("/dev/zero"), "a device", unless=lambda: WINDOWS),
    "a terminal": Case(lambda path: path.symlink_to("/dev/tty"), "a device", unless=lambda: WINDOWS),
    "a link to itself": Case(lambda path: path.symlink_to(path), "a link that leads to itself"),
    "a broken link": Case(lambda path: path.symlink_to("absent"), "a broken link"),
    "no permission": Case(lambda path: (saved(NOISE, "PNG")(path), path.chmod(0)), "no permission", unless=is_root),
    "a file below a file": Case(lambda path: path.parent.write_bytes(b""), "Not a directory", "folder/a.png"),
    "a name of 300 characters": Case(lambda path: None, "File name too long", "x" * 300 + ".png"),
    "a name with a zero byte": Case(lambda path: None, "null", "a\0b.png"),
    **{
        f"half a {kind}": Case(cut(kind, 0.5), "cannot be decoded", f"a.{kind.lower()}")
        for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
    },
    "a PNG of its signature": Case(raw(b"\x89PNG\r\n\x1a\n"), "not a picture"),
    "a PNG without pixels": Case(raw(png(WIDTH, HEIGHT, 8, 0, zlib.compress(b""))), "cannot be decoded"),
    "a PNG with a wrong checksum": Case(
        raw(encoded(NOISE, "PNG").replace(b"IDAT", b"IDAT\x01", 1)), "cannot be decoded"
    ),
    "a PNG of 0 x 0": Case(raw(png(0, 0, 8, 0, zlib.compress(b""))), "not a picture"),
    "a PNG that is a bomb": Case(raw(bomb(60_000, 60_000)), "too many pixels"),
    "a PNG just over the limit": Case(raw(bomb(12_000, 12_000)), "the limit is"),
    "a PNG of 2^31 x 2^31": Case(raw(bomb(2**31 - 1, 2**31 - 1)), "too many pixels"),
    "a GIF that is a bomb": Case(
        raw(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;"), "too many pixels"
    ),
    "a BMP that is a bomb": Case(
        raw(
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, *[0] * 6)
        ),
        "too many pixels",
        "a.bmp",
    ),
    "a TIFF that is a bomb": Case(
        raw(
            tiff(
                (256, 4, 1, 10**5),
                (257, 4, 1, 10**5),
                (258, 3, 1, 1),
                (259, 3, 1, 5),
                (262, 3, 1, 1),
                (273, 4, 1, 8),
                (279, 4, 1, 9),
            )
        ),
        "too many pixels",
        "a.tif",
    ),
    "a PNG with a text of 200 MB": Case(
        raw(png(WIDTH, HEIGHT, 8, 0, rows(GREY), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)))),
        GREY,  # its text is not read
    ),
    "a TIFF without a directory": Case(raw(b"II*\0\x08\0\0\0"), "not a picture", "a.tif"),
    "a TIFF of strange samples": Case(
        raw(tiff((256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 13), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8))),
        "not a picture",
        "a.tif",
    ),
    "a BMP of 7 bits": Case(raw(bmp(7)), "cannot be", "a.bmp"),
    "float grey with NaN": Case(floats(0, float("nan")), "NaN", "a.tif"),
    "float grey with infinity": Case(floats(0, float("inf")), "infinity", "a.tif"),
    "float grey to 255": Case(floats(0, 255), "wanted 0 to 1", "a.tif"),
    "32-bit grey above 16 bits": Case(
        saved(np.full((HEIGHT, WIDTH), 70_000, np.int32), "TIFF"), "wanted 0 to 65535", "a.tif"
    ),
    "32-bit grey below 0": Case(saved(np.full((HEIGHT, WIDTH), -1, np.int32), "TIFF"), "wanted 0 to", "a.tif"),
}


def mutated(number: int, seed: int) -> tuple[str, bytes]:
    """A picture file with something done to its bytes: its format, and the bytes."""
    random = Random(f"{seed} {number}")
    kind = FORMATS[number % len(FORMATS)]
    exif = Image.Exif()
    exif[0x0112] = random.randrange(1, 9)
    modes: tuple[tuple[str, Any], ...] = (("colour", NOISE), ("grey", GREY), ("palette", None), ("deep", SIXTEEN))
    name, pixels = random.choice(modes if kind in ("PNG", "TIFF") else modes[:2])
    image = Image.fromarray(NOISE).convert("P") if name == "palette" else Image.fromarray(pixels)
    data = bytearray(encoded(image, kind, **({} if kind in ("BMP", "GIF") else {"exif": exif})))
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        place, size = random.randrange(len(data)), random.choice((1, 1, 2, 4, 20))
        match random.randrange(6):
            case 0:
                data[place] ^= 1 << random.randrange(8)
            case 1:
                data[place : place + size] = random.randbytes(size)
            case 2:
                data[place : place + size] = b"\xff" * size
            case 3:
                del data[place : place + size]
            case 4:
                data[place:place] = data[place : place + size]
            case _:
                del data[max(1, place) :]
        data = data or bytearray(b"\0")
    return kind, bytes(data)


def outcome_of(path: Path, data: bytes) -> str:
    """`right`, `refused`, or what is wrong with how the file was read."""
    try:
        picture = read_picture(path)
    except PictureError as error:
        return "refused" if str(error).startswith(f"{path}: ") and "\n" not in str(error) else f"message: {error}"
    if picture.mode != "RGB" or picture_size(path) != picture.size[::-1]:
        return f"{picture.mode} of {picture.size}, told {picture_size(path)}"
    plain = _as_pillow_shows(data)
    if plain is not None and plain.size == picture.size and not np.array_equal(np.asarray(plain), picture):
        return "other pixels than Pillow's"
    return "right"


def _as_pillow_shows(data: bytes) -> Image.Image | None:
    """The picture by the shortest way; None for the kinds that it scales otherwise, or where it cannot."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as plain:
            if plain.mode not in ("1", "L", "P", "RGB", "RGBA", "LA"):
                return None
            shown = ImageOps.exif_transpose(plain)
            shown.info.pop("transparency", None)
            return shown.convert("RGB")
    except Exception:  # damaged EXIF, which read_picture leaves aside
        return None


def read_mutated(folder: Path, seed: int, first: int, last: int) -> Iterator[tuple[int, str]]:
    """The outcomes of some mutated files, each within its time: a hang ends the process."""
    for number in range(first, last):
        kind, data = mutated(number, seed)
        path = folder / f"{number}.{kind.lower()}"
        path.write_bytes(data)
        signal.alarm(SECONDS)
        try:
            outcome = outcome_of(path, data)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        signal.alarm(0)
        path.unlink()
        yield number, outcome


if __name__ == "__main__":
    import resource
    import warnings

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    where, *numbers = sys.argv[1:]
    for found in read_mutated(Path(where), *map(int, numbers)):
        print(json.dumps(found), flush=True)
