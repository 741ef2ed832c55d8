"""`hsr convert`: one file into another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli.words import AllowRemote, Alpha, Wavelengths
from hsr_tf.console import terminal
from hsr_tf.findings import WARNING, Finding
from hsr_tf.wording import as_flags

EXAMPLES = (
    "hsr convert radiance.hdr radiance.h5",
    "hsr convert fused.h5 fused.tif --cog",
    "hsr convert PRS_L2D_STD.he5 scene.img --interleave=bsq",
    "hsr convert reflectance.tif reflectance.zarr --dtype=float32",
    "hsr convert photo.jpg light.tif --linearize=srgb",
    "hsr convert scan.raw scan.h5 --reflectance",
    "hsr convert EMIT_L2A_RFL.nc emit.tif --ortho",
    "hsr convert /vsizip/scenes.zip/scene.tif scene.h5 --allow_remote",
    "hsr convert cube.mat cube.h5 --wavelengths=400:700:10 --white_level=4095",
)
SECONDS_WITHOUT_BAR = 2.0


def convert(
    source: Annotated[Path, typer.Argument(help="The file to read; see hsr info.")],
    target: Annotated[Path, typer.Argument(help="The file to write; its suffix sets the format.")],
    key: Annotated[str | None, typer.Option(help="Which array, where the file holds several.")] = None,
    layout: Annotated[str | None, typer.Option(help="Order of its axes, e.g. row,col,band.")] = None,
    white_level: Annotated[
        float | None, typer.Option("--white_level", help="Stored value that stands for 1.0.")
    ] = None,
    wavelengths: Wavelengths = None,
    linearize: Annotated[
        str,
        typer.Option(
            help="Undo a tone curve: srgb, or gamma:2.2 (any number); writes float32 light from 0 to 1."
        ),
    ] = "none",
    interleave: Annotated[str | None, typer.Option(help="Of an ENVI output: bsq, bil or bip.")] = None,
    cog: Annotated[bool, typer.Option("--cog", help="Write a cloud-optimised GeoTIFF.")] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Type of the written values; by default that of the file.")
    ] = None,
    nodata: Annotated[
        float | None, typer.Option(help="Value that marks pixels without data, in formats without a mask.")
    ] = None,
    alpha: Alpha = None,
    ortho: Annotated[
        bool, typer.Option("--ortho", help="Put a swath on the grid of the lookup table in its file (EMIT).")
    ] = False,
    reflectance: Annotated[
        bool,
        typer.Option(
            "--reflectance", help="Raw counts to reflectance, by white and dark references beside the file."
        ),
    ] = False,
    white_reference: Annotated[
        Path | None, typer.Option("--white_reference", help="Image of the white panel, for --reflectance.")
    ] = None,
    dark_reference: Annotated[
        Path | None, typer.Option("--dark_reference", help="Image with the shutter closed, likewise.")
    ] = None,
    allow_remote: AllowRemote = False,
) -> None:
    """Write a cube in another format.

    Stored values stay as they are, bit for bit, with their scale,
    wavelengths, grid and names, unless --linearize undoes a tone curve.
    What is not read, and what the new format cannot hold, is reported.
    """
    from hsr_tf.io.convert import ConvertOptions, convert
    from hsr_tf.io.source import References
    from hsr_tf.io.wavelength_list import parse_wavelengths

    panels = white_reference, dark_reference
    listed = None if wavelengths is None else parse_wavelengths(wavelengths)
    options = ConvertOptions(
        key=key,
        layout=layout,
        white_level=white_level,
        wavelengths_nm=listed,
        linearize=linearize,
        interleave=interleave,
        cog=cog,
        dtype=dtype,
        nodata=nodata,
        alpha=alpha,
        ortho=ortho,
        references=References(*panels) if reflectance or any(panels) else None,
        allow_remote=allow_remote,
    )
    found: list[Finding] = []
    with byte_bar() as progress:
        written = convert(source, target, options, progress=progress, report=found.append)
    for finding in found:
        terminal.warn(finding.line) if finding.severity == WARNING else typer.echo(as_flags(finding.line))
    typer.echo(f"wrote {written}")


@contextmanager
def byte_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar in megabytes a second on stderr once the work has taken two seconds, on a terminal."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    with tqdm(
        unit="B", unit_scale=True, delay=SECONDS_WITHOUT_BAR, disable=quiet, leave=False, desc="converting"
    ) as bar:

        def progress(num_done: int, num_bytes: int) -> None:
            bar.total = num_bytes
            bar.update(num_done - bar.n)

        yield progress
