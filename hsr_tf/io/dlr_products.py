"""Products of EnMAP and DESIS (DLR): a GeoTIFF `...-SPECTRAL_IMAGE.TIF` and what lies beside it of the bands.

EnMAP, levels 1B, 1C and 2A: `...-METADATA.XML` has for each band (`specific/bandCharacterisation/bandID`) the
centre, FWHM, gain and offset (value = gain stored + offset), `specific/backgroundValue`, and the channels
that the processor expects to hold data (`expectedChannelsList` of VNIR and SWIR): others are bad bands.
Level 1B has two images, `...-SPECTRAL_IMAGE_VNIR.TIF` and `..._SWIR.TIF`, as the two detectors saw the
ground, which do not fit pixel by pixel: each is an image of its own, of the first and of the last bands.
DESIS: `...-SPECTRAL_IMAGE.hdr`, an ENVI header, has wavelengths, FWHM, gains and offsets.
Layouts: EnMAP product specification EN-PCV-ICD-2009-2, and the published readers of both (EnMAP-Box).
A product is named by its image or by its metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from hsr_tf.checks import file_error
from hsr_tf.io.account import Account
from hsr_tf.io.envi_header import read_header, wavelengths_of
from hsr_tf.io.format import Format
from hsr_tf.io.geotiff import open_geotiff
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing, number_or_nan, spectral_lists
from hsr_tf.io.source import BandSource, ReadRequest, decoding

IMAGE, METADATA = "-SPECTRAL_IMAGE", "-METADATA"
IMAGE_SUFFIXES, METADATA_SUFFIXES = (".TIF", ".tif", ".TIFF", ".tiff"), (".XML", ".xml")
LONGEST_XML = 64 * 2**20
DESIS, VNIR, SWIR = "DESIS", "_VNIR", "_SWIR"
DETECTORS = ("", VNIR, SWIR)


@dataclass(frozen=True)
class Product:
    """The image of a product, the file that describes its bands, and the detector if it is of one alone."""

    image: Path
    metadata: Path
    detector: str = ""


class DlrProduct(Format):
    """EnMAP and DESIS products."""

    name = "EnMAP, DESIS"
    reads = "`...-SPECTRAL_IMAGE.TIF` with `...-METADATA.XML` (EnMAP 1B, 1C, 2A) or `.hdr` (DESIS)"

    def recognises(self, path: Path) -> bool:
        return path.is_file() and (find_product(path) is not None or bool(_of_detectors(path)))

    def files(self, path: Path) -> tuple[Path, ...]:
        found = find_product(path)
        return () if found is None else (found.image, found.metadata)

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        product = find_product(path)
        if product is None:
            several = _of_detectors(path)
            names = " or ".join(one.name for one in several)
            raise file_error(path, f"describes {len(several)} images, of one detector each", f"name {names}")
        with open_geotiff(product.image, request) as source:
            about = source.header
            account = Account.of(about, without=product.metadata.name)
            facts = (_of_header if product.metadata.suffix == ".hdr" else _of_xml)(product, about, account)
            header = replace(about.unscaled() if "gain" in facts else about, **facts)
            account.use(product.metadata.name)
            header = replace(header, used=account.used, findings=account.findings)
            yield replace(source, header=header, format=self.name)


def find_product(path: Path) -> Product | None:
    """Return the files of a product from one of their names; None if one is missing."""
    words = (*(f"{IMAGE}{detector}" for detector in DETECTORS), METADATA)
    word = next((one for one in words if path.stem.upper().endswith(one)), None)
    if word is None:
        return None
    stem, detector = path.stem[: -len(word)], word.removeprefix(IMAGE) if word != METADATA else ""
    images = (path.with_name(f"{stem}{IMAGE}{detector}{suffix}") for suffix in IMAGE_SUFFIXES)
    image = next((one for one in images if one.is_file()), None)
    headers = () if not stem.upper().startswith(DESIS) else (f"{stem}{IMAGE}.hdr",)
    names = (*headers, *(f"{stem}{METADATA}{suffix}" for suffix in METADATA_SUFFIXES))
    metadata = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    return None if image is None or metadata is None else Product(image, metadata, detector)


def _of_detectors(path: Path) -> list[Path]:
    """Return the images of single detectors that a file of metadata describes."""
    if not path.stem.upper().endswith(METADATA):
        return []
    stem = path.stem[: -len(METADATA)]
    names = (f"{stem}{IMAGE}{one}{suffix}" for one in (VNIR, SWIR) for suffix in IMAGE_SUFFIXES)
    return [one for name in names if (one := path.with_name(name)).is_file()]


def _of_header(product: Product, about: CubeHeader, account: Account) -> dict[str, Any]:
    """Return what the ENVI header of a DESIS product says."""
    header, num_bands = read_header(product.metadata), about.shape[2]
    if header.shape[2] != num_bands:
        account.leave(product.metadata.name, f"{header.shape[2]} bands where {num_bands} are needed")
        return {}
    centres, widths = wavelengths_of(header, account)
    gain, shift = (
        account.numbers(name, header.listed(name), num_bands)
        for name in ("data gain values", "data offset values")
    )
    nodata = number_or_nan(header.text("data ignore value"))
    facts: dict[str, Any] = {"wavelengths_nm": centres, "fwhm_nm": widths, "nodata": nodata}
    if gain is not None:
        facts |= {"gain": gain, "offset": np.zeros(num_bands) if shift is None else shift}
    return {name: value for name, value in facts.items() if value is not None}


def _of_xml(product: Product, about: CubeHeader, account: Account) -> dict[str, Any]:
    """Return what the metadata of an EnMAP product say."""
    root, num_bands = parsed_xml(product.metadata), about.shape[2]
    bands = [one for one in root.iter("bandID") if one.find("wavelengthCenterOfBand") is not None]
    first = 0
    if product.detector and len(bands) > num_bands:
        first = 0 if product.detector == VNIR else len(bands) - num_bands
        account.take(f"{product.detector[1:]}: bands {first + 1} to {first + num_bands} of {len(bands)}")
    num_all, bands = len(bands), bands[first : first + num_bands] if product.detector else bands

    def column(name: str) -> list[str] | None:
        found = [text for one in bands if (text := one.findtext(name)) is not None]
        return found or None

    centres = Listing("wavelengthCenterOfBand", column("wavelengthCenterOfBand"), "nm")
    widths = Listing("FWHMOfBand", column("FWHMOfBand"), "nm")
    wavelengths, fwhm = spectral_lists([centres], [widths], num_bands, account)
    facts: dict[str, Any] = {"wavelengths_nm": wavelengths, "fwhm_nm": fwhm}
    gain, shift = (account.numbers(name, column(name), num_bands) for name in ("GainOfBand", "OffsetOfBand"))
    if gain is not None and bool((gain != 0).all()):
        facts |= {"gain": gain, "offset": np.zeros(num_bands) if shift is None else shift}
    if about.nodata is None:
        facts["nodata"] = number_or_nan(root.findtext(".//specific/backgroundValue"))
        account.use("backgroundValue")
    good = _expected(root, num_all if product.detector else num_bands, account)
    facts["good_bands"] = None if good is None else good[first : first + num_bands]
    return {name: value for name, value in facts.items() if value is not None}


def _expected(root: ElementTree.Element, num_bands: int, account: Account) -> np.ndarray | None:
    """Return (C,) bool, True for the channels that are expected to hold data; None without a list."""
    texts = [one.text or "" for one in root.iter("expectedChannelsList")]
    numbers = [int(word) for text in texts for word in text.replace(",", " ").split() if word.isdigit()]
    if not numbers:
        return None
    if not 1 <= min(numbers) <= max(numbers) <= num_bands:
        account.leave("expectedChannelsList", f"names channels beyond the {num_bands} bands")
        return None
    account.use("expectedChannelsList")
    good = np.zeros(num_bands, bool)
    good[np.array(numbers) - 1] = True
    return good


def parsed_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file of bounded size, without entities of its own."""
    with decoding(path, "XML"), open(path, "rb") as file:
        text = file.read(LONGEST_XML + 1)
        if len(text) > LONGEST_XML or b"<!ENTITY" in text:
            raise file_error(path, "is too long, or defines entities", "fetch it again")
        return ElementTree.fromstring(text)
