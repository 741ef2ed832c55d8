"""`hsr simulate`: the two images of a sharp cube."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli.words import Psf, Srf, SrfOutside, loaded_srf
from hsr_tf.console import terminal
from hsr_tf.files import require_apart

EXAMPLES = (
    "hsr simulate --reference=balloons.h5 --scale=8 --output_dir=balloons_x8",
    "hsr simulate --reference=z.h5 --scale=8 --psf=box --hsi_snr_db=35 --output_dir=d",
)


def simulate(
    reference: Annotated[Path, typer.Option(help="The sharp cube.")],
    scale: Annotated[int, typer.Option(help="Scale factor: sharp pixels per coarse pixel along one side.")],
    output_dir: Annotated[
        Path, typer.Option("--output_dir", help="Folder for the two files; created if missing.")
    ],
    srf: Srf = "nikon_d700",
    psf: Psf = "gaussian",
    srf_outside: SrfOutside = "error",
    hsi_snr_db: Annotated[
        float | None,
        typer.Option("--hsi_snr_db", help="Gaussian noise of the coarse cube, dB; none by default."),
    ] = None,
    msi_snr_db: Annotated[
        float | None,
        typer.Option("--msi_snr_db", help="Gaussian noise of the colour image, dB; none by default."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the noise.")] = 0,
) -> None:
    """Make the two images of a sharp cube: D/lr_hsi.h5 and D/hr_msi.h5.

    The standard PSF, gaussian, is one coarse pixel wide at half maximum.
    The files remember both cameras: hsr fuse needs no flags for them.
    """
    from hsr_tf import io
    from hsr_tf.io.pair import PAIR_NAMES, require_pair_folder, save_pair
    from hsr_tf.wording import size_words

    require_pair_folder(output_dir)
    require_apart([output_dir / name for name in PAIR_NAMES], [reference])
    with terminal.working("reading the cube"):
        scene = io.load(reference)
    with terminal.working("simulating"):
        if (hsi_snr_db, msi_snr_db) != (None, None):
            terminal.load_keras()  # noise is drawn by keras.random
        from hsr_tf.fusion import api as fusion

        observation = fusion.simulate(
            scene,
            scale=scale,
            srf=loaded_srf(srf, srf_outside, scene),
            psf=psf or "gaussian",
            snr_db=(hsi_snr_db, msi_snr_db),
            seed=seed,
        )
    with terminal.working("writing"):
        paths = save_pair(observation, output_dir)
    for path, made in zip(paths, (observation.lr_hsi, observation.hr_msi), strict=True):
        typer.echo(f"wrote {path}  {size_words(made.shape)}")
