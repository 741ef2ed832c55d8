"""Pictures: Pillow and tifffile agree on what is read and written; what cannot be read is one clear line."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from hsr_tf import io
from hsr_tf.io.picture import Picture
from hsr_tf.io.pictures import picture_files, read_picture, require_writable, write_picture

COLOUR = np.random.default_rng(5).integers(0, 256, (9, 14, 3)).astype(np.uint8)
SMOOTH = np.add.outer(5 * np.arange(9), 9 * np.arange(14)).astype(np.uint8)[..., None] + np.uint8([0, 9, 40])
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = (".png", ".tif")


def as_16_bits(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16) * 257 - np.uint16(3) * (values > 0)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(9, 14), (1, 1)])
def test_lossless_files_come_back(
    tmp_path: Path, suffix: str, num_channels: int, depth: type, size: tuple[int, int]
) -> None:
    values = np.random.default_rng(num_channels).integers(0, np.iinfo(depth).max, (*size, num_channels))
    path = write_picture(Picture(values.astype(depth), PROFILE), tmp_path / f"a{suffix}")
    again = read_picture(path)
    np.testing.assert_array_equal(again.values, values)
    assert (again.values.dtype, again.icc_profile, again.name) == (depth, PROFILE, "a")


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_reads_what_is_written_and_writes_what_is_read(tmp_path: Path, suffix: str, mode: str) -> None:
    image = Image.fromarray(COLOUR).convert("RGBA").convert(mode)
    image.save(tmp_path / f"pillow{suffix}", icc_profile=PROFILE)
    picture = read_picture(tmp_path / f"pillow{suffix}")
    np.testing.assert_array_equal(picture.values, np.asarray(image).reshape(picture.values.shape))
    assert picture.icc_profile == PROFILE
    with Image.open(write_picture(picture, tmp_path / f"ours{suffix}")) as ours:
        assert (ours.mode, ours.info["icc_profile"]) == (mode, PROFILE)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_what_pillow_makes_of_it(tmp_path: Path, mode: str) -> None:
    picture = Picture(np.asarray(Image.fromarray(SMOOTH).convert(mode)).reshape(9, 14, -1), PROFILE)
    path = write_picture(picture, tmp_path / "a.jpg")
    with Image.open(path) as image:
        assert (image.mode, image.info["icc_profile"]) == (mode, PROFILE)
        np.testing.assert_array_equal(read_picture(path).values, np.asarray(image).reshape(9, 14, -1))
    assert np.abs(read_picture(path).values.astype(int) - picture.values).max() <= 6


def test_jpeg_rounds_16_bits_and_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="JPEG holds 8 bits"):
        path = write_picture(Picture(as_16_bits(SMOOTH)), tmp_path / "a.jpg")
    exact = write_picture(Picture(SMOOTH), tmp_path / "b.jpg")
    np.testing.assert_array_equal(read_picture(path).values, read_picture(exact).values)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_honoured(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"turned{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, **({"quality": 100} if suffix == ".jpg" else {}), exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_picture(path).values, expected)


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg").values, COLOUR)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_palettes_are_looked_up(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(SMOOTH).convert("P", palette=Image.Palette.ADAPTIVE, colors=40)
    image.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(
        read_picture(tmp_path / f"a{suffix}").values, np.asarray(image.convert("RGB"))
    )


def test_a_palette_with_transparent_entries_has_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(SMOOTH).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    image.save(tmp_path / "a.png", transparency=2)
    with Image.open(tmp_path / "a.png") as again:
        np.testing.assert_array_equal(
            read_picture(tmp_path / "a.png").values, np.asarray(again.convert("RGBA"))
        )


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_black_and_white_is_gray(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(SMOOTH).convert("1")
    image.save(tmp_path / f"a{suffix}")
    values = read_picture(tmp_path / f"a{suffix}").values
    np.testing.assert_array_equal(values[..., 0], np.asarray(image) * 255)


def test_tiff_with_white_as_zero_is_turned_round(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 255 - SMOOTH[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").values, SMOOTH[..., :1])


Tag = tuple[int, int, int, bytes]


def bare_tiff(path: Path, pixels: bytes, plain: dict[int, int], *further: Tag) -> None:
    """A TIFF of one strip; further tags are code, type, number of values and their bytes."""
    tags = [(code, 4, 1, struct.pack("<I", value)) for code, value in plain.items()]
    tags += [(273, 4, 1, struct.pack("<I", 8)), (279, 4, 1, struct.pack("<I", len(pixels))), *further]
    data, entries = b"II*\0\0\0\0\0" + pixels, b""
    for code, kind, number, value in sorted(tags):
        place = value if len(value) <= 4 else struct.pack("<I", len(data))
        data += b"" if len(value) <= 4 else value
        entries += struct.pack("<HHI", code, kind, number) + place.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + directory)


def of_one_bit(path: Path, bits: np.ndarray, photometric: int, *further: Tag) -> None:
    height, width = bits.shape
    plain = {256: width, 257: height, 258: 1, 259: 1, 262: photometric, 277: 1, 278: height}
    bare_tiff(path, np.packbits(bits.astype(bool), axis=1).tobytes(), plain, *further)


def test_scans_of_one_bit_are_read_as_gray_and_as_colours(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (7, 13))
    of_one_bit(tmp_path / "white.tif", bits, 0)
    of_one_bit(tmp_path / "black.tif", bits, 1, (274, 3, 1, struct.pack("<I", 6)))
    palette = np.uint16([[10, 200], [20, 100], [30, 255]])
    of_one_bit(tmp_path / "palette.tif", bits, 3, (320, 3, 6, (palette * 257).astype("<u2").tobytes()))
    found = {name: read_picture(tmp_path / f"{name}.tif") for name in ("white", "black", "palette")}
    np.testing.assert_array_equal(found["white"].values[..., 0], 255 * (1 - bits))
    np.testing.assert_array_equal(found["black"].values[..., 0], 255 * np.rot90(bits, -1))
    np.testing.assert_array_equal(found["palette"].values, np.moveaxis(palette[:, bits], 0, -1))
    assert all(one.metadata.one_bit for one in found.values())


def test_a_fax_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    image = Image.fromarray(SMOOTH).convert("1")
    image.save(tmp_path / "a.tif", compression="group4", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").values[..., 0], np.asarray(image) * 255)


def test_a_tiff_palette_with_alpha_stays_transparent(tmp_path: Path) -> None:
    indexed = np.random.default_rng(2).integers(0, 256, (9, 14, 2)).astype(np.uint8)
    palette = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
    plain = {256: 14, 257: 9, 259: 1, 262: 3, 277: 2, 278: 9, 284: 1, 338: 2}
    bits, colours = (258, 3, 2, struct.pack("<HH", 8, 8)), (palette * 257).astype("<u2").tobytes()
    bare_tiff(tmp_path / "a.tif", indexed.tobytes(), plain, bits, (320, 3, 768, colours))
    found = read_picture(tmp_path / "a.tif").values
    np.testing.assert_array_equal(found[..., :3], np.moveaxis(palette[:, indexed[..., 0]], 0, -1))
    np.testing.assert_array_equal(found[..., 3], indexed[..., 1])


def looped(path: Path, num_pages: int, *, big: bool = False) -> None:
    """A TIFF whose last page names its first one as the next."""
    with tifffile.TiffWriter(path, bigtiff=big) as writer:
        for _ in range(num_pages):
            writer.write(COLOUR[..., 0], photometric="minisblack", metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[-1]
        place = last.offset + (8 + 20 * len(last.tags) if big else 2 + 12 * len(last.tags))
    data[place : place + (8 if big else 4)] = struct.pack("<Q" if big else "<I", first)
    path.write_bytes(data)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("num_pages", [1, 3])
@pytest.mark.timeout(20)
def test_pages_that_loop_are_refused_at_once(tmp_path: Path, num_pages: int, big: bool) -> None:
    looped(tmp_path / "a.tif", num_pages, big=big)
    for read in (read_picture, io.load, io.describe):
        with pytest.raises(OSError, match=f"chain of pages never ends, page {num_pages} leads back"):
            read(tmp_path / "a.tif")


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(OSError, match="is an animation of 2 frames; save one frame"):
        read_picture(tmp_path / "a.png")


def test_tiff_in_planes_and_in_tiles(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(as_16_bits(COLOUR), -1, 0))
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "t.tif", as_16_bits(COLOUR), photometric="rgb", tile=(16, 16))
    for name in ("p.tif", "t.tif"):
        np.testing.assert_array_equal(read_picture(tmp_path / name).values, as_16_bits(COLOUR))


def test_tiff_of_12_bits_fills_the_range_of_16(tmp_path: Path) -> None:
    values = np.uint16([[0, 1, 2048, 4095]])
    packed = np.packbits([bit for v in values[0] for bit in map(int, f"{v:012b}")])
    head = struct.pack("<2sHI", b"II", 42, 8)
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 6)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", c, 4, 1, v) for c, v in tags)
    (tmp_path / "a.tif").write_bytes(head + directory + struct.pack("<I", 0) + packed.tobytes())
    found = read_picture(tmp_path / "a.tif").values[..., 0]
    np.testing.assert_array_equal(found, np.rint(values * (65535 / 4095)))


def test_alpha_that_was_multiplied_into_the_colours_is_divided_out(tmp_path: Path) -> None:
    alpha = np.full((9, 14, 1), 128, np.uint8)
    alpha[0, 0] = 0
    multiplied = np.rint(COLOUR * (alpha / 255)).astype(np.uint8)
    stacked = np.concatenate([multiplied, alpha], -1)
    tifffile.imwrite(tmp_path / "a.tif", stacked, photometric="rgb", extrasamples=["assocalpha"])
    found = read_picture(tmp_path / "a.tif").values
    np.testing.assert_array_equal(found[..., 3:], alpha)
    assert np.abs(found[..., :3].astype(int) - COLOUR)[alpha[..., 0] > 0].max() <= 1
    assert not found[0, 0].any()


def cut(path: Path, image: Image.Image, form: str) -> None:
    image.resize((300, 200)).save(path, form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


IMAGE = Image.fromarray(COLOUR)
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("not a picture"), "is no PNG, JPEG or TIFF"),
    "gif": (lambda path: IMAGE.save(path, "gif"), "is no PNG, JPEG or TIFF"),
    "cut jpeg": (lambda path: cut(path, IMAGE, "jpeg"), "cannot be read as JPEG"),
    "cut png": (lambda path: cut(path, IMAGE, "png"), "cannot be read as PNG"),
    "cut tiff": (lambda path: cut(path, IMAGE, "tiff"), "cannot be read as TIFF"),
    "jpeg of three bytes": (lambda path: path.write_bytes(b"\xff\xd8\xff"), "cannot be read as JPEG"),
    "cmyk tiff": (lambda path: IMAGE.convert("CMYK").save(path, "tiff"), "stored as CMYK; save it as gray"),
    "cmyk jpeg": (lambda path: IMAGE.convert("CMYK").save(path, "jpeg"), "stored as CMYK; save it as gray"),
    "lab tiff": (lambda path: IMAGE.convert("LAB").save(path, "tiff"), "stored as CIELAB"),
    "float tiff": (lambda path: tifffile.imwrite(path, np.zeros((3, 4), np.float32)), "values are float32"),
    "pages": (lambda path: tifffile.imwrite(path, np.zeros((2, 5, 7), np.uint8)), "holds 2 pages"),
    "5 channels": (
        lambda path: tifffile.imwrite(path, np.zeros((6, 4, 5), np.uint8), photometric="rgb"),
        "holds 5 channels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, case: str) -> None:
    make, said = REFUSED[case]
    make(tmp_path / "file.tif")
    with pytest.raises(OSError, match=said) as caught:
        read_picture(tmp_path / "file.tif")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "file.tif"))


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff"])
def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path, form: str) -> None:
    Image.new("RGB", (400, 300)).save(tmp_path / "a", form)
    assert read_picture(tmp_path / "a", max_gib=400e3 / 2**30).size == (300, 400)
    with pytest.raises(OSError, match=r"300x400 pixels takes .* GiB, over the limit"):
        read_picture(tmp_path / "a", max_gib=300e3 / 2**30)


def test_a_header_that_promises_more_than_any_memory_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + header + bytes(4)
    )
    with pytest.raises(OSError, match="over the limit"):
        read_picture(tmp_path / "a.png")


def test_names_and_contents_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"output: expected a name that ends in \.png, .* got 'a.bmp'"):
        require_writable("a.bmp", has_alpha=False, size=(3, 4))
    with pytest.raises(ValueError, match="as the picture has alpha and JPEG holds none"):
        write_picture(Picture(np.zeros((3, 4, 4), np.uint8)), tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="at most 65500 pixels a side"):
        require_writable("a.jpg", has_alpha=False, size=(3, 70000))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"older")
    monkeypatch.setattr("hsr_tf.io.png.encode_png", lambda values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_picture(Picture(COLOUR), tmp_path / "a.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


def test_a_folder_is_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.JPG", "a.tif", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in picture_files(tmp_path)] == ["a.tif", "b2.JPG", "b10.png"]
    with pytest.raises(OSError, match="no such folder"):
        picture_files(tmp_path / "none")
    with pytest.raises(OSError, match="holds no PNG, JPEG or TIFF"):
        picture_files(tmp_path / "folder.png")


def test_reading_warns_of_nothing(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = read_picture(tmp_path / "a.jpg")
    assert picture.values.shape[:2] == (IMAGE.height, IMAGE.width)


@pytest.mark.parametrize("values", [COLOUR[..., 0], COLOUR / 255, COLOUR[:0], np.zeros((2, 2, 5), np.uint8)])
def test_other_arrays_are_no_pictures(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture: expected"):
        Picture(values)
