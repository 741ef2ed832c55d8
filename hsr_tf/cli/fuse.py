"""`hsr fuse`: a coarse cube and a sharp image of the same ground into the sharp cube."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsr_tf import checks
from hsr_tf.cli import fuse_stream, judging, words
from hsr_tf.console import terminal
from hsr_tf.files import HTML, require_apart, require_output

if TYPE_CHECKING:
    from hsr_tf.methods import Method
    from hsr_tf.scene import Observation

EXAMPLES = (
    "hsr fuse --lr_hsi=lr_hsi.h5 --hr_msi=hr_msi.h5 --output=sharp.h5",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.tif --method=ms_ssfnet --output=z.h5",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.tif --adapt --output=z.h5",
    "hsr fuse --lr_hsi=x.mat --hr_msi=y.jpg --wavelengths=400:700:10 --psf=gaussian:fwhm=6 --output=z.mat",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --method=cnmf --max_seconds=60 --output=z.h5",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --psf=estimate --srf=estimate --picture=c.png --output=z.h5",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=photo.jpg --srf=nikon_d700 --linearize=srgb --output=z.h5",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --output=z.h5 --report=report.html",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.h5 --output=z.h5 --uncertainty=sigma.h5 --wald",
    "hsr fuse --lr_hsi=x.h5 --hr_msi=y.tif --transform=transform.json --output=z.h5",
    "hsr fuse --lr_hsi=x.img --hr_msi=y.tif --memory_limit=3GB --output=z.tif",
    "hsr fuse --lr_hsi=x.zarr --hr_msi=y.zarr --dask=local:2 --output=z.zarr",
)
NOT_STREAMED = (
    "max_seconds",
    "checkpoint",
    "picture",
    "report",
    "lr_key",
    "hr_key",
    "uncertainty",
    "wald",
)


def fuse(
    lr_hsi: words.LrHsi,
    hr_msi: words.HrMsi,
    output: Annotated[
        Path, typer.Option(help="Output file; its suffix sets the format (.h5, .tif, .hdr, .nc, .zarr, ...).")
    ],
    method: Annotated[
        str, typer.Option(help="Name of the method, see hsr methods; auto finds out.")
    ] = "auto",
    srf: words.Srf = None,
    psf: words.Psf = None,
    srf_outside: words.SrfOutside = "error",
    linearize: words.Linearize = "auto",
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model; by default the shipped one that fits."),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt", help="Adapt the network of --method (default: those that fit) to the images."
        ),
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of a solver, NAME=VALUE; may be repeated."),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            "--max_seconds", help="Stop a solver after this many seconds and keep its best estimate."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of a solver.")] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File (.npz) from which an interrupted solver continues."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw estimated kernel and response into this file (.png).")
    ] = None,
    report: words.Report = None,
    lr_key: words.LrKey = None,
    hr_key: words.HrKey = None,
    lr_white_level: words.LrWhiteLevel = None,
    hr_white_level: words.HrWhiteLevel = None,
    wavelengths: words.Wavelengths = None,
    lr_layout: words.LrLayout = None,
    hr_layout: words.HrLayout = None,
    nodata: words.Nodata = None,
    alpha: words.Alpha = None,
    allow_remote: words.AllowRemote = False,
    register: words.Register = "auto",
    transform: words.TransformFile = None,
    uncertainty: judging.Uncertainty = None,
    wald: judging.Wald = False,
    memory_limit: fuse_stream.MemoryLimit = None,
    stream: fuse_stream.Stream = False,
    restart: fuse_stream.Restart = False,
    dask: fuse_stream.DaskAddress = None,
    strict: judging.Strict = False,
) -> int:
    """Fuse a coarse cube and a sharp image of the same ground into the sharp cube.

    --psf and --srf default to the cameras recorded in the files,
    otherwise gaussian (by auto estimated where the response is known)
    and nikon_d700. Image defects (dead bands, pixels
    without data) are reported in warnings and repaired; a tone curve,
    offsets and gains of the sharp image are undone and reported. Ends
    with a verdict on the estimate: green, yellow (use it with care) or
    red (do not rely on it). Exit code 0: done; 2: bad input; 3: with
    --strict, a verdict that is not green (the files are written).
    """
    from hsr_tf import io
    from hsr_tf.report.screen import facts, fusion_facts

    io.writer_for(output)
    require_apart([p for p in (output, checkpoint, picture, report, uncertainty) if p], [lr_hsi, hr_msi])
    judging.require_map(uncertainty, output)
    _require_outputs(picture, report)
    beside = words.Beside((lr_layout, hr_layout), nodata, alpha, allow_remote)
    reading = words.pair_reading((lr_key, hr_key), (lr_white_level, hr_white_level), wavelengths, beside)
    streaming = fuse_stream.Streaming(memory_limit, stream, restart, dask)
    if fuse_stream.is_streamed(streaming, (lr_hsi, hr_msi), reading):
        first = (max_seconds, checkpoint, picture, report, lr_key, hr_key)
        given = (*first, uncertainty, wald or None)
        others = tuple(name for name, value in zip(NOT_STREAMED, given, strict=True) if value is not None)
        cameras, options = (psf, srf, srf_outside, linearize), tuple(option or ())
        how = others, reading, transform, register
        flags = fuse_stream.FuseFlags(method, options, weights, adapt, *cameras, seed, *how)
        verdict = fuse_stream.fuse_streamed(streaming, flags, (lr_hsi, hr_msi, output))
        return judging.verdict_code(verdict, strict=strict)
    with terminal.working("reading the two images"):
        pair = words.PairFiles(lr_hsi, hr_msi, reading).read()
        registered = words.brought_together(pair, register, transform, psf=psf)
        observation = replace(registered.aligned.observation, linearize=linearize)
    with terminal.working("loading the method"):
        from hsr_tf import methods as registry
        from hsr_tf.options import adapted, with_options
        from hsr_tf.solvers.solver import Controls

        known = registry.get(method, registry.FUSION_KINDS)
        terminal.load_quietly(lambda: registry.get("adapt" if adapt else known.name).build)
        chosen = adapted(known, weights, option or ()) if adapt else with_options(known, option or ())
        terminal.load_quietly(lambda: _load_networks(chosen, observation))
        _require_estimated_cameras(picture, chosen.needs, chosen.kind, (psf, srf))
        response = words.given_srf(srf, srf_outside, observation.lr_hsi)
    iterates = chosen.kind == "solver"
    controls = Controls(seed, max_seconds, checkpoint=checkpoint, progress=iterates and sys.stderr.isatty())
    with nullcontext() if iterates else terminal.working(f"fusing by {method}"):
        requested = judging.FusionOptions(psf, response, None if adapt else weights, controls)
        solution, sigma = judging.fused(observation, chosen, requested, with_map=uncertainty is not None)
    solution = solution.with_findings((*registered.warnings, *solution.findings))
    final = registered.finished(solution)
    trial = judging.one_scale_down(observation, chosen, requested) if wald else None
    with terminal.working("writing"):
        io.save(final.estimate, output)
        if uncertainty is not None and sigma is not None:
            io.save(registered.aligned.on_sharp_pixels(sigma), uncertainty)
        if picture is not None:
            _draw_cameras(picture, observation, solution)
        if report is not None:
            _write_report(report, observation, solution, (psf, response))
    lines = (("values", pair.guesses), *judging.read_lines(solution, registered.aligned))
    files = (("wrote", output), ("sigma", uncertainty), ("drew", picture), ("report", report))
    shown = [(name, "; ".join(said)) for name, said in lines] + fusion_facts(observation, final)
    terminal.show(facts([*shown, *((name, str(path or "")) for name, path in files)]))
    judging.show_lost(final.estimate, output)
    if trial is not None:
        judging.show_trial(trial)
    judging.show_verdict(final.verdict, final.findings)
    return judging.verdict_code(final.verdict, strict=strict)


def _require_outputs(picture: Path | None, report: Path | None) -> None:
    for name, path, suffixes in (("picture", picture, (".png",)), ("report", report, HTML)):
        if path is not None:
            require_output(name, path, suffixes=suffixes)


def _load_networks(chosen: Method, observation: Observation) -> None:
    """Import the networks that `auto` may try: TensorFlow's start-up lines are kept from the screen then."""
    from hsr_tf.methods import get
    from hsr_tf.options import default_config

    config = default_config(chosen)
    if chosen.name != "auto" or config is None or not config.networks:
        return
    from hsr_tf.networks.selection import shipped_for

    for name in {card.config.method for card in shipped_for(observation)}:
        _ = get(name).build


def _write_report(path: Path, observation: Any, solution: Any, given: tuple[Any, Any]) -> None:
    from hsr_tf.report.html import write_report
    from hsr_tf.report.scene_report import solution_report

    command, (psf, srf) = ("hsr", *sys.argv[1:]), given
    write_report(solution_report(observation, solution, command=command, psf=psf, srf=srf), path)


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

    method = str(solution.estimate.metadata["method"])
    cameras_sheet(path, CamerasData.of(observation, solution, method=method))
