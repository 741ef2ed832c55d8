"""The `hsr` command: simulate, fuse, upscale, evaluate, info, methods.

Bad input ends with one line on stderr and exit code 2, an interrupt with 130; a result is written whole or
not at all. `HSR_DEBUG=1` shows the traceback as well. Keras is loaded only by the commands that compute, and
only after the files have been looked at.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from hsr_tf import __version__, checks, cli_upscale
from hsr_tf.report import terminal

app = typer.Typer(
    name="hsr",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A low-resolution hyperspectral cube and a sharp colour image in, the sharp cube out; "
    "or a picture in, a larger one out.",
    epilog="Start with [bold]hsr methods[/bold] and [bold]hsr fuse --help[/bold].",
)

Psf = Annotated[
    str | None,
    typer.Option(
        "--psf",
        help="Blur of the hyperspectral camera, in pixels of the sharp image: gaussian, gaussian:fwhm=6, "
        "gaussian:sigma=2x4,angle=30, box:size=5, motion:length=9,angle=30, identity, or a file; "
        "hsr fuse takes estimate too, to find it from the images.",
    ),
]
Srf = Annotated[
    str | None,
    typer.Option(
        "--srf",
        help="Response of the colour camera: nikon_d700, a camera of colour-science, or a CSV file; "
        "hsr fuse takes estimate too.",
    ),
]
SrfOutside = Annotated[
    str,
    typer.Option(
        "--srf_outside",
        help="Bands that the response does not cover: error, or zero (the camera is blind there).",
    ),
]


def _examples(*lines: str) -> str:
    """An epilogue; the empty lines keep rich from joining the examples."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"[cyan]{line}[/cyan]" for line in lines)


@app.callback(invoke_without_command=True)
def _hsr(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"hsr {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog=_examples(
        "hsr simulate --reference=balloons.h5 --scale=8 --output_dir=balloons_x8",
        "hsr simulate --reference=z.h5 --scale=8 --psf=box --hsi_snr_db=35 --output_dir=d",
    )
)
def simulate(
    reference: Annotated[Path, typer.Option(help="The sharp cube.")],
    scale: Annotated[int, typer.Option(help="Sharp pixels a coarse pixel along one side.")],
    output_dir: Annotated[
        Path, typer.Option("--output_dir", help="Folder for the two files; made if need be.")
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
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
) -> None:
    """Make the two images of a sharp cube: D/lr_hsi.h5 and D/hr_msi.h5.

    The standard PSF, gaussian, is one coarse pixel wide at half maximum.
    The files remember both cameras: hsr fuse needs no flags for them.
    """
    from hsr_tf import io
    from hsr_tf.io.pair import PAIR_NAMES, require_pair_folder, save_pair

    require_pair_folder(output_dir)
    _require_apart([output_dir / name for name in PAIR_NAMES], [reference])
    with terminal.working("reading the cube"):
        scene = io.load(reference)
    with terminal.working("simulating"):
        terminal.load_keras()
        from hsr_tf import fusion

        observation = fusion.simulate(
            scene,
            scale=scale,
            srf=_loaded_srf(srf, srf_outside, scene),
            psf=psf or "gaussian",
            snr_db=(hsi_snr_db, msi_snr_db),
            seed=seed,
        )
    with terminal.working("writing"):
        paths = save_pair(observation, output_dir)
    for path, made in zip(paths, (observation.lr_hsi, observation.hr_msi), strict=True):
        typer.echo(f"wrote {path}  {_size(made)}")


@app.command(
    epilog=_examples(
        "hsr fuse --lr_hsi=lr_hsi.h5 --hr_msi=hr_msi.h5 --output=sharp.h5",
        "hsr fuse --lr_hsi=x.h5 --hr_msi=y.tif --method=ms_ssfnet --output=z.h5",
        "hsr fuse --lr_hsi=x.h5 --hr_msi=y.tif --method=ms_ssfnet --adapt --output=z.h5",
        "hsr fuse --lr_hsi=x.mat --hr_msi=y.png --psf=gaussian:fwhm=6 --output=z.mat",
        "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --method=cnmf --max_seconds=60 --output=z.h5",
        "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --psf=estimate --srf=estimate --picture=c.png --output=z.h5",
    )
)
def fuse(
    lr_hsi: Annotated[Path, typer.Option("--lr_hsi", help="The coarse hyperspectral cube.")],
    hr_msi: Annotated[Path, typer.Option("--hr_msi", help="The sharp colour or multispectral image.")],
    output: Annotated[
        Path, typer.Option(help="Where to; the suffix says the format (.h5, .mat, .npz, a folder).")
    ],
    method: Annotated[str, typer.Option(help="Name of the method, see hsr methods.")] = "spectral_ls",
    srf: Srf = None,
    psf: Psf = None,
    srf_outside: SrfOutside = "error",
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model; the shipped one for these sizes by default."),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Adapt the network of --method to these two images first."),
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of a solver, NAME=VALUE; may be given again for others."),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option("--max_seconds", help="A solver ends after so long with its best estimate so far."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that a solver draws.")] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File (.npz) from which a long solver goes on when it is started again."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw estimated kernel and response into this file (.png).")
    ] = None,
) -> None:
    """Fuse a coarse cube and a sharp image of the same ground into the sharp cube.

    Without --psf and --srf the cameras are those that simulated files
    tell of, else gaussian and nikon_d700. What is wrong with the images
    (dead bands, no data) is told in warnings and repaired.
    """
    from hsr_tf import io
    from hsr_tf.report.screen import facts, fusion_facts
    from hsr_tf.scene import Observation

    io.writer_for(output)
    written = [path for path in (output, checkpoint, picture) if path is not None]
    _require_apart(written, [lr_hsi, hr_msi])
    if picture is not None:
        _require_picture(picture)
    with terminal.working("reading the two images"):
        observation = Observation.from_pair(io.load(lr_hsi), io.load(hr_msi))
    with terminal.working("loading the method"):
        terminal.load_keras()
        from hsr_tf import fusion
        from hsr_tf import methods as registry
        from hsr_tf.options import adapted, with_options
        from hsr_tf.solvers.solver import Controls

        known = registry.get(method, registry.FUSION_KINDS)
        chosen = adapted(known, weights, option or ()) if adapt else with_options(known, option or ())
        _require_estimated_cameras(picture, chosen.needs, chosen.kind, (psf, srf))
        in_file = srf in (None, "estimate") and srf_outside == "error"
        response = srf if in_file else _loaded_srf(srf, srf_outside, observation.lr_hsi)
    iterates = chosen.kind == "solver"
    controls = Controls(seed, max_seconds, checkpoint=checkpoint, progress=iterates and sys.stderr.isatty())
    with nullcontext() if iterates else terminal.working(f"fusing by {method}"):
        solution = fusion.fuse(
            observation,
            chosen,
            psf=psf,
            srf=response,
            weights=None if adapt else weights,
            controls=controls,
        )
    with terminal.working("writing"):
        io.save(solution.estimate, output)
        if picture is not None:
            _draw_cameras(picture, observation, solution)
    lines = [*fusion_facts(observation, solution), ("wrote", str(output))]
    terminal.show(facts([*lines, ("drew", str(picture or ""))]))


app.command(
    "upscale",
    epilog=_examples(
        "hsr upscale --input=photo.png --scale=2.5 --output=big.png",
        "hsr upscale --input=photos --scale=4 --method=bicubic --output=big_photos",
        "hsr upscale --input=old.jpg --scale=4 --method=kbpn --kernel_output=blur.npy --output=new.png",
    ),
)(cli_upscale.upscale)


@app.command(
    epilog=_examples(
        "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8",
        "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8 --json=scores.json",
    )
)
def evaluate(
    reference: Annotated[Path, typer.Option(help="The true sharp cube.")],
    estimate: Annotated[Path, typer.Option(help="The estimated cube; it is clipped to [0, 1] first.")],
    scale: Annotated[int, typer.Option(help="The factor between the fused resolutions, for ERGAS.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file as well.")
    ] = None,
) -> None:
    """Score an estimate against the truth: PSNR, RMSE, SSIM, SAM, ERGAS."""
    from hsr_tf import io

    if json_file is not None:
        _require_json(json_file)
        _require_apart([json_file], [reference, estimate])
    with terminal.working("reading the two cubes"):
        truth, guess = io.load(reference), io.load(estimate)
    with terminal.working("scoring"):
        terminal.load_keras()
        from hsr_tf.metrics import scorecard
        from hsr_tf.report.screen import scorecard_table

        card = scorecard(truth.cube, guess.cube, scale=scale)
    terminal.show(scorecard_table(card))
    if json_file is not None:
        _write_json(
            json_file,
            {
                "reference": str(reference),
                "estimate": str(estimate),
                "scale": scale,
                "scores": card.as_dict(),
            },
        )
        typer.echo(f"wrote {json_file}")


@app.command(epilog=_examples("hsr info balloons.h5", "hsr info a_folder_of_png_bands"))
def info(
    file: Annotated[Path, typer.Argument(help="A cube or image file, or a folder of PNG bands.")],
) -> None:
    """Show what a file holds: size, wavelengths, scaling, values, metadata."""
    from hsr_tf import io
    from hsr_tf.report.screen import facts, file_facts

    with terminal.working("reading"):
        summary = io.describe(file)
    terminal.show(facts(file_facts(summary)))


@app.command(epilog=_examples("hsr methods"))
def methods() -> None:
    """List the methods, what each needs beside the images, and the weights that are shipped."""
    with terminal.working("loading the methods"):
        terminal.load_keras()
        from hsr_tf import methods as registry
        from hsr_tf.networks.pretrained import shipped_models
        from hsr_tf.networks.selection import describe_fit
        from hsr_tf.report.screen import methods_table

        shipped: dict[str, list[str]] = {}
        for card in shipped_models():
            line = f"{card.folder.name}, for {describe_fit(card.config).partition(', ')[2]}"
            shipped.setdefault(card.config["method"], []).append(line)
        table = methods_table(registry.describe(), shipped)
    terminal.show(table)


def main() -> None:
    """Entry point of the `hsr` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code.

    0: done. 2: bad input, one line on stderr says which. 130: interrupted. 1: an error of the program itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return terminal.exit_code(lambda: app(list(arguments), prog_name="hsr", standalone_mode=False))


def _loaded_srf(srf: str | None, outside: str, scene: Any) -> Any:
    from hsr_tf.physics.cameras import DEFAULT_SRF
    from hsr_tf.physics.spectral import load_srf

    return load_srf(srf or DEFAULT_SRF, scene.wavelengths_nm, outside=outside, num_bands=scene.num_bands)


def _require_apart(outputs: list[Path], inputs: list[Path]) -> None:
    for output in outputs:
        for given in inputs:
            if output.exists() and given.exists() and output.samefile(given):
                raise checks.file_error(output, "is an input as well", "write to another name")


def _require_picture(path: Path) -> None:
    from hsr_tf.report.canvas import require_png

    require_png(path)
    if not path.absolute().parent.is_dir():
        raise checks.file_error(path, f"the folder {path.absolute().parent} does not exist", "make it first")


def _require_estimated_cameras(
    picture: Path | None, needs: tuple[str, ...], kind: str, words: tuple[str | None, str | None]
) -> None:
    estimated = "estimate" in words or (kind == "solver" and not {"psf", "srf"} <= set(needs))
    checks.require(
        picture is None or estimated,
        "picture",
        expected="a method that estimates kernel or response",
        received="one that is given both",
        remedy="add --psf=estimate or --srf=estimate, or leave the picture out",
    )


def _draw_cameras(path: Path, observation: Any, solution: Any) -> None:
    from hsr_tf.report.cameras import CamerasData, cameras_sheet

    told = solution.estimate.metadata
    names = str(observation.hr_msi.metadata.get("channels", ""))
    title = f"{told['method']}, x{observation.scale}"
    name = observation.lr_hsi.name
    cameras_sheet(
        path,
        CamerasData(
            title=f"{name}, {title}" if name else title,
            psf=solution.psf,
            srf=solution.srf,
            shift_pixels=solution.shift_pixels,
            wavelengths_nm=observation.lr_hsi.wavelengths_nm,
            channels=tuple(names.split(",")) if names else (),
        ),
    )


def _require_json(path: Path) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir():
        problem = "is a folder" if path.is_dir() else f"the folder {path.absolute().parent} does not exist"
        raise checks.file_error(path, problem, "give the name of a file in a folder that exists")


def _write_json(path: Path, data: dict[str, Any]) -> None:
    from hsr_tf.atomic import replacing_file

    with replacing_file(path) as draft:
        draft.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _size(scene: Any) -> str:
    return "x".join(map(str, scene.shape))
