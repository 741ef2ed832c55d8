"""What the commands share: options of the same name and meaning, and the pair of images that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsr_tf import checks

if TYPE_CHECKING:
    from hsr_tf.fusion.registered import Registered
    from hsr_tf.io.pair_reading import LoadedPair, PairReading
    from hsr_tf.scene import Scene

REGISTER = ("auto", "off")
LrHsi = Annotated[Path, typer.Option("--lr_hsi", help="The coarse hyperspectral cube.")]
HrMsi = Annotated[Path, typer.Option("--hr_msi", help="The sharp colour or multispectral image.")]
Psf = Annotated[
    str | None,
    typer.Option(
        "--psf",
        help="Blur of the hyperspectral camera, in pixels of the sharp image: gaussian, gaussian:fwhm=6, "
        "gaussian:sigma=2x4,angle=30, box:size=5, motion:length=9,angle=30, identity, or a file; "
        "estimate finds it from the images.",
    ),
]
Srf = Annotated[
    str | None,
    typer.Option(
        "--srf",
        help="Response of the colour camera: nikon_d700, a sensor or camera that hsr sensors lists, or a CSV "
        "file, and channels of it (sentinel2a:B02,B03,B04); estimate finds it from the images.",
    ),
]


def _known_curve(linearize: str) -> str:
    """The word for a tone curve; one that is not known is refused before anything is read."""
    from hsr_tf.radiometry import parse_linearize

    parse_linearize(linearize)
    return linearize


Linearize = Annotated[
    str,
    typer.Option(
        "--linearize",
        callback=_known_curve,
        help="Tone curve of hr_msi to undo: none, srgb, gamma:2.2 (any number), or auto to find out. "
        "Offsets and gains of its channels are found and undone too, unless it is none.",
    ),
]
LrKey = Annotated[
    str | None,
    typer.Option("--lr_key", help="Which array of the coarse file, where it holds several."),
]
HrKey = Annotated[
    str | None,
    typer.Option("--hr_key", help="Which array of the sharp file, where it holds several."),
]
LrWhiteLevel = Annotated[
    float | None,
    typer.Option(
        "--lr_white_level",
        help="Stored value of the coarse file that stands for 1, e.g. 10000; by default "
        "the value in the file, otherwise a guess, which is reported.",
    ),
]
HrWhiteLevel = Annotated[
    float | None,
    typer.Option("--hr_white_level", help="The same for the sharp file."),
]
Wavelengths = Annotated[
    str | None,
    typer.Option(
        "--wavelengths",
        help="Wavelengths of the bands in nm, for a cube whose file holds none: a range 400:700:10, a list "
        "450,550,650, or a file of numbers.",
    ),
]
LrLayout = Annotated[
    str | None,
    typer.Option("--lr_layout", help="Order of the axes of the coarse file, e.g. row,col,band."),
]
HrLayout = Annotated[
    str | None,
    typer.Option("--hr_layout", help="The same for the sharp file."),
]
Nodata = Annotated[
    float | None,
    typer.Option(
        "--nodata",
        help="Stored value of pixels without data, e.g. -9999; by default that of the file. NaN always is.",
    ),
]
Alpha = Annotated[
    str | None,
    typer.Option(
        "--alpha",
        help="What a channel marked as alpha is: mask (of pixels without data) or band; by default its name "
        "and wavelength decide.",
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow_remote",
        help="Open a GeoTIFF on a server (https://..., s3://...) or in an archive (/vsizip/a.zip/b.tif).",
    ),
]
SrfOutside = Annotated[
    str,
    typer.Option(
        "--srf_outside",
        help="Bands that the response does not cover: error, or zero (the camera is blind there).",
    ),
]


Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write an HTML page that shows the result, as hsr report does."),
]


Register = Annotated[
    str,
    typer.Option(
        "--register",
        help="Registration of the two images: auto (look for shift, rotation, ratio, mirror images, and use "
        "what is found where it is clearly better), or off.",
    ),
]
TransformFile = Annotated[
    Path | None,
    typer.Option("--transform", help="A transform that hsr register has saved (.json), to be used as it is."),
]


@dataclass(frozen=True)
class Beside:
    """Order of the axes of the coarse and the sharp file; nodata value and alpha channel of both, and whether
    they may lie on a server or in an archive."""

    layouts: tuple[str | None, str | None]
    nodata: float | None
    alpha: str | None
    allow_remote: bool


def pair_reading(
    keys: tuple[str | None, str | None],
    levels: tuple[float | None, float | None],
    wavelengths: str | None,
    beside: Beside,
) -> Any:
    """How the two files are to be read.

    Args:
        keys, levels: of the coarse and the sharp file.
        wavelengths: in words.
        beside: order of axes, and what marks pixels without data.
    """
    from hsr_tf.io.pair_reading import PairReading
    from hsr_tf.io.wavelength_list import parse_wavelengths

    for name, level in zip(("lr_white_level", "hr_white_level"), levels, strict=True):
        checks.require(
            level is None or 0 < level < float("inf"),
            name,
            expected="a positive number",
            received=str(level),
            remedy="give e.g. 10000",
        )
    listed = None if wavelengths is None else tuple(parse_wavelengths(wavelengths).tolist())
    marks = beside.nodata, beside.alpha
    return PairReading(*keys, *levels, listed, *beside.layouts, *marks, beside.allow_remote)


def by_name(estimates: Mapping[Path, Scene]) -> dict[str, Scene]:
    """Estimates by the methods that made them, or, where these are not known or not unique, by their files.

    Raises:
        ValueError: two files of the same name.
    """
    made = [str(cube.metadata.get("method", "")) or path.stem for path, cube in estimates.items()]
    names = made if len(set(made)) == len(made) else [path.stem for path in estimates]
    checks.require(
        len(set(names)) == len(names),
        "estimate",
        expected="files of different names",
        received=", ".join(names),
        remedy="rename them",
    )
    return dict(zip(names, estimates.values(), strict=True))


def given_srf(srf: str | None, outside: str, scene: Any) -> Any:
    """The response for a fusion: what was given where the fusion reads it by itself, else loaded here."""
    as_given = srf in (None, "estimate") and outside == "error"
    return srf if as_given else loaded_srf(srf, outside, scene)


def loaded_srf(srf: str | None, outside: str, scene: Any) -> Any:
    """The response of a camera in words or a file, at the bands of a scene."""
    from hsr_tf.physics.cameras import DEFAULT_SRF
    from hsr_tf.physics.spectral import load_srf

    return load_srf(
        srf or DEFAULT_SRF,
        scene.wavelengths_nm,
        fwhm_nm=scene.fwhm_nm,
        outside=outside,
        num_bands=scene.num_bands,
    )


def brought_together(
    images: LoadedPair, register: str, transform: Path | None, *, psf: str | None
) -> Registered:
    """Both images on nested grids, registered as the flags say."""
    from hsr_tf.fusion.alignment import require_fusable_sizes
    from hsr_tf.fusion.registered import align_registered
    from hsr_tf.registration.transform import load_transform

    checks.require_choice("register", register, REGISTER)
    known = None if transform is None else load_transform(transform)
    search = register == REGISTER[0]
    found = align_registered(images.lr_hsi, images.hr_msi, psf=psf, transform=known, search=search)
    observation = found.aligned.observation
    require_fusable_sizes(observation.lr_hsi.shape[:2], observation.scale)
    return found


@dataclass(frozen=True)
class PairFiles:
    """Files of both images, and what the caller knows of their arrays, white levels and wavelengths."""

    lr_hsi: Path
    hr_msi: Path
    reading: PairReading | None = None

    @property
    def paths(self) -> list[Path]:
        """Both files."""
        return [self.lr_hsi, self.hr_msi]

    def read(self) -> LoadedPair:
        """Both images as they are stored."""
        from hsr_tf.io.pair_reading import load_pair

        return load_pair(self.lr_hsi, self.hr_msi, self.reading)
