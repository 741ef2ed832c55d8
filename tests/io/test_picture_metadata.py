"""What files say beside their pixels is kept with orientation 1, or named in one line where it cannot be."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hsr_tf.io.exif import exif_resolution, upright_exif
from hsr_tf.io.jpeg import estimated_quality
from hsr_tf.io.picture import Picture, PictureMetadata, Resolution
from hsr_tf.io.pictures import made_by, read_picture, write_picture

VALUES = np.random.default_rng(3).integers(0, 256, (9, 14, 3)).astype(np.uint8)
SUFFIXES = (".png", ".jpg", ".tif")
MAKER, EXIF_IFD, GPS_IFD = "A camera", 0x8769, 0x8825


def exif_block(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = MAKER, orientation
    exif.get_ifd(EXIF_IFD).update({0x9003: "2020:01:02 03:04:05", 0xA002: 14, 0xA003: 9, 0x829A: 0.125})
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (52.0, 31.0, 12.5)})
    return exif


def said_by_writing(picture: Picture, path: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_picture(picture, path)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_exif_goes_from_every_format_to_every_format(tmp_path: Path, source: str, target: str) -> None:
    Image.fromarray(VALUES).save(tmp_path / f"a{source}", exif=exif_block().tobytes())
    picture = read_picture(tmp_path / f"a{source}")
    assert picture.size == (14, 9)
    assert said_by_writing(picture, tmp_path / f"b{target}") == []
    with Image.open(tmp_path / f"b{target}") as found:
        exif = found.getexif()
        assert exif.get(0x0112, 1) == 1
        assert exif[0x010F] == MAKER
        assert exif.get_ifd(EXIF_IFD)[0x9003] == "2020:01:02 03:04:05"
        assert float(exif.get_ifd(EXIF_IFD)[0x829A]) == 0.125
        assert (exif.get_ifd(GPS_IFD)[1], exif.get_ifd(GPS_IFD)[2]) == ("N", (52.0, 31.0, 12.5))
    assert read_picture(tmp_path / f"b{target}").size == (14, 9)


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_the_resolution_goes_from_every_format_to_every_format(
    tmp_path: Path, source: str, target: str
) -> None:
    Image.fromarray(VALUES).save(tmp_path / f"a{source}", dpi=(300, 150))
    assert said_by_writing(read_picture(tmp_path / f"a{source}"), tmp_path / f"b{target}") == []
    with Image.open(tmp_path / f"b{target}") as found:
        np.testing.assert_allclose([float(n) for n in found.info["dpi"]], (300, 150), rtol=1e-3)


def test_the_resolution_turns_with_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.jpg", dpi=(300, 150), exif=exif_block())
    assert read_picture(tmp_path / "a.jpg").metadata.resolution == Resolution(150, 300, "inch")


def test_a_resolution_in_exif_alone_is_found(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 40.0, 20.0, 3
    Image.fromarray(VALUES).save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png").metadata.resolution == Resolution(40, 20, "centimetre")
    assert exif_resolution(b"II*\0") is None


def with_chunks(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG file with further chunks behind its header."""
    info = PngImagePlugin.PngInfo()
    for name, data in chunks:
        info.add(name, data)
    Image.fromarray(VALUES).save(path, pnginfo=info)
    return path


LINEAR, PQ = struct.pack(">I", 100000), bytes((9, 16, 0, 1))
WIDE = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunk", "data", "lost"),
    [
        (b"gAMA", LINEAR, True),
        (b"cHRM", WIDE, True),
        (b"cICP", PQ, True),
        (b"gAMA", struct.pack(">I", 45455), False),
        (b"cHRM", SRGB, False),
        (b"sRGB", b"\0", False),
    ],
)
def test_colour_chunks_are_copied_or_named(tmp_path: Path, chunk: bytes, data: bytes, lost: bool) -> None:
    picture = read_picture(with_chunks(tmp_path / "a.png", (chunk, data)))
    assert said_by_writing(picture, tmp_path / "b.png") == []
    assert read_picture(tmp_path / "b.png").metadata.colour_chunks == ((chunk.decode(), data),)
    for suffix in (".jpg", ".tif"):
        said = said_by_writing(picture, tmp_path / f"b{suffix}")
        assert [chunk.decode() in line and "not kept" in line for line in said] == [True] * lost


def test_a_profile_says_more_than_gamma(tmp_path: Path) -> None:
    picture = read_picture(with_chunks(tmp_path / "a.png", (b"gAMA", LINEAR)))
    profiled = Picture(picture.values, b"profile", metadata=picture.metadata)
    assert said_by_writing(profiled, tmp_path / "b.jpg") == []


def test_what_is_lost_is_named(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.tif", tiffinfo={318: (0.3127, 0.329)})
    (said,) = said_by_writing(read_picture(tmp_path / "a.tif"), tmp_path / "b.png")
    assert "WhitePoint" in said
    oblong = PictureMetadata(resolution=Resolution(2, 1, ""))
    (said,) = said_by_writing(Picture(VALUES, metadata=oblong), tmp_path / "b.jpg")
    assert "aspect ratio" in said
    for block in (b"", b"II*\0\x08\0\0", b"nonsense", b"II*\0" + struct.pack("<IHHHII", 8, 9, 1, 3, 1, 1)):
        (said,) = said_by_writing(Picture(VALUES, metadata=PictureMetadata(block)), tmp_path / "b.png")
        assert "EXIF block of the source is damaged" in said
    large = exif_block().tobytes() + bytes(70000)
    (said,) = said_by_writing(Picture(VALUES, metadata=PictureMetadata(large)), tmp_path / "b.jpg")
    assert "does not fit" in said
    assert said_by_writing(Picture(VALUES, metadata=PictureMetadata(large)), tmp_path / "b.png") == []


def test_the_block_is_kept_but_for_orientation_sizes_and_thumbnail() -> None:
    maker_note = bytes(range(40))
    exif = exif_block()
    exif.get_ifd(EXIF_IFD)[0x927C] = maker_note
    block = exif.tobytes()
    found = Image.Exif()
    found.load(b"Exif\0\0" + (upright_exif(block, (28, 70000)) or b""))
    inner = found.get_ifd(EXIF_IFD)
    assert (found[0x0112], inner[0xA002], inner[0xA003]) == (1, 70000, 28)
    assert inner[0x927C] == maker_note
    assert len(upright_exif(block, (28, 40)) or b"") == len(block.removeprefix(b"Exif\0\0"))


def test_the_settings_that_made_a_picture_are_in_the_file(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write_picture(
            Picture(VALUES, metadata=PictureMetadata(made_by="a x=2")), tmp_path / f"a{suffix}"
        )
        assert made_by(path) == "a x=2"
        assert read_picture(path).metadata.made_by is None
        path.write_bytes(path.read_bytes()[:-9])
        assert made_by(path) is None
        assert made_by(write_picture(Picture(VALUES), path)) is None
    assert made_by(tmp_path / "none.png") is made_by(tmp_path / "a.bmp") is None


@pytest.mark.parametrize("quality", [10, 40, 70, 90, 98])
def test_the_quality_of_a_jpeg_is_estimated(tmp_path: Path, quality: int) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.jpg", quality=quality)
    assert abs((read_picture(tmp_path / "a.jpg").metadata.jpeg_quality or 0) - quality) <= 2
    assert estimated_quality({}) is None


def interlaced(values: np.ndarray, kind: int, depth: int, *tables: tuple[bytes, bytes]) -> bytes:
    """An Adam7 PNG of (H, W, samples) values, made without a library."""
    height, width = values.shape[:2]
    rows = []
    for top, left, down, right in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        for row in values[top::down, left::right]:
            if row.size:
                bits = "".join(f"{value:0{depth}b}" for value in row.ravel())
                padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
                rows.append(b"\0" + int(padded, 2).to_bytes(len(padded) // 8, "big"))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 1)),
        *tables,
        (b"IDAT", zlib.compress(b"".join(rows))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 14)])
@pytest.mark.parametrize(("kind", "depth", "samples"), [(0, 1, 1), (2, 8, 3), (6, 16, 4), (3, 4, 1)])
def test_interlaced_files_are_read_in_all_their_bits_and_in_silence(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    size: tuple[int, int],
    kind: int,
    depth: int,
    samples: int,
) -> None:
    values = np.random.default_rng(0).integers(0, 2**depth, (*size, samples))
    palette = np.random.default_rng(1).integers(0, 256, (16, 3))
    tables = [(b"gAMA", LINEAR), (b"gAMA", LINEAR)]  # the second is one that libpng complains of
    tables += [(b"PLTE", palette.astype(np.uint8).tobytes())] if kind == 3 else []
    (tmp_path / "a.png").write_bytes(interlaced(values, kind, depth, *tables))
    found = read_picture(tmp_path / "a.png").values
    expected = palette[values[..., 0]] if kind == 3 else values * (255 if depth == 1 else 1)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert capfd.readouterr().err == ""


def test_a_damaged_interlaced_file_is_one_line(tmp_path: Path) -> None:
    data = bytearray(interlaced(VALUES, 2, 8))
    data[60] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(OSError, match="cannot be read as PNG"):
        read_picture(tmp_path / "a.png")
