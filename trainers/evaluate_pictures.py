"""Score networks of single images: `python -m trainers.evaluate --task=pictures --methods=bicubic,vdsr`.

The protocol of the papers: Y of BT.601 rounded to 8 bits (gray pictures as they are), sides cut to multiples
of the scale, antialiased bicubic reduction, the estimate clipped and rounded to 8 bits, `scale` pixels a side
left out. With --sigmas the sharp picture is blurred by a Gaussian of 21 x 21 before. With --noises the small
picture gets Gaussian noise, with --jpeg_qualities it goes through a JPEG file, as photographs do. Networks
that need the kernel get the true one; kernels that a network estimates are scored by their summed absolute
difference.

Written to --output_dir: scores.csv (a row a picture), scores.json, scores.md (means over each set) and a
sheet a picture and case, with the rectangle where the estimates are worst, or --rectangle, enlarged.

With --data_set=set5 (set14, bsd100, urban100, div2k) the pictures are those of a public set, in the folder
--data_dir that it is distributed in (default: that of $HSR_DATA).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from hsr_tf import checks
from hsr_tf.arrays.color import rgb_to_ycbcr, ycbcr_to_rgb
from hsr_tf.data.picture_cases import Case
from hsr_tf.data.picture_sets import PICTURE_SETS, set_pictures
from hsr_tf.data.pictures import NamedPicture, find_pictures, load_picture
from hsr_tf.data.scenes import data_root
from hsr_tf.metrics.table import metrics_for
from hsr_tf.report.kernel_sheet import KernelRow, kernel_sheet
from hsr_tf.report.picture_sheet import PictureSheetData, draw_picture_sheet
from hsr_tf.tiling.region import Region
from trainers import _flags
from trainers._picture_cases import Enlarger, Estimate, enlarge_plainly, find_enlargers
from trainers._picture_scores import PictureRow, markdown_table, score, write_tables
from trainers._pictures import scales_of

FLAGS = flags.FLAGS
SETS = ("Set5", "Set14", "BSD100", "Urban100")
METHODS = ("bicubic", "vdsr")
SCALES = ("2", "3", "4")


def define_flags() -> None:
    """What this task has beside the flags of `trainers.evaluate`."""
    flags.DEFINE_list(
        "sets", [], f"Folders of pictures (default: those of {', '.join(SETS)} that $HSR_DATA has)."
    )
    flags.DEFINE_list("sigmas", [], "Gaussian blurs before the reduction (default: none), e.g. 0.2,1.3,2.6.")
    flags.DEFINE_list(
        "noises", [], "Noise of the small picture, in steps of 1 / 255 (default: none), e.g. 5,10."
    )
    flags.DEFINE_list(
        "jpeg_qualities", [], "JPEG qualities of the small picture (default: none), e.g. 90,70."
    )
    flags.DEFINE_bool(
        "kernels",
        False,
        "Draw the kernels that blind networks find, stage by stage: kernels_METHOD.png.",
    )
    flags.DEFINE_list(
        "rectangle", [], "Part that the sheets enlarge: row,column,height,width (default: the worst part)."
    )


def chosen_sets() -> dict[str, list[Path]]:
    """The pictures of the set that --data_set names, else those of --sets.

    Raises:
        OSError: as `set_pictures` and `find_sets`.
    """
    if FLAGS.data_set is None:
        return find_sets(FLAGS.sets)
    known, paths = PICTURE_SETS[FLAGS.data_set], set_pictures(FLAGS.data_set, FLAGS.data_dir)
    print(f"{known.title}: {len(paths)} of its {known.number} pictures")
    return {known.title: paths}


def find_sets(names: Sequence[str]) -> dict[str, list[Path]]:
    """The pictures of each set by its name; without names those of `SETS` that the data root has.

    Raises:
        OSError: for a folder that is missing or holds no picture, or when there is none.
    """
    root = data_root()
    if not names:
        known = [name for name in SETS if root is not None and (root / "sisr" / name).is_dir()]
        if not known:
            raise checks.file_error(
                root or "$HSR_DATA",
                f"has none of sisr/{', sisr/'.join(SETS)}",
                "set HSR_DATA, or give --sets",
            )
        return {name: find_pictures(f"sisr/{name}") for name in known}
    lacking = [name for name in names if name in SETS and root is None and not Path("sisr", name).is_dir()]
    if lacking:
        raise checks.file_error(
            f"sisr/{lacking[0]}",
            "no such folder, and no $HSR_DATA",
            "set HSR_DATA to the folder that holds it, or give a folder of your own to --sets",
        )
    return {Path(name).name: find_pictures(f"sisr/{name}" if name in SETS else name) for name in names}


def evaluate(
    enlargers: Sequence[Enlarger],
    sets: Mapping[str, Sequence[Path]],
    cases: Sequence[Case],
    *,
    sheets: Path | None = None,
    rectangle: Region | None = None,
) -> list[PictureRow]:
    """Score every method on every picture in every case that it fits, and draw the sheets into a folder."""
    rows: list[PictureRow] = []
    total = len(cases) * sum(map(len, sets.values()))
    with tqdm(total=total, unit="picture", dynamic_ncols=True) as bar:
        for name, paths in sets.items():
            for picture in map(load_picture, paths):
                for case in cases:
                    bar.set_postfix_str(f"{picture.name} {case.label}")
                    made = {one.label: one.run(picture, case) for one in enlargers if one.fits(case)}
                    new = [score(label, name, picture, case=case, made=each) for label, each in made.items()]
                    rows += new
                    if sheets is not None and made:
                        words = case.label.replace(", ", "_").replace(" ", "")
                        path = sheets / f"{name}_{picture.name}_{words}.png"
                        draw_picture_sheet(path, _sheet(picture, case, made, new, rectangle=rectangle))
                    bar.update()
    checks.require(
        bool(rows),
        "methods",
        expected="a method that fits the scales",
        received=", ".join(one.label for one in enlargers),
        remedy="ask for bicubic, or for the scale that the network was trained for",
    )
    return rows


def main() -> None:
    """Flags to arguments, score, write."""
    scales = scales_of(FLAGS.scales or SCALES)
    cases = [
        Case(scale, sigma, noise, quality)
        for scale in scales
        for sigma in sigmas_of(FLAGS.sigmas)
        for noise in sigmas_of(FLAGS.noises, "noises", least=0.0)
        for quality in qualities_of(FLAGS.jpeg_qualities)
    ]
    enlargers, sets = find_enlargers(FLAGS.methods or METHODS, scales), chosen_sets()
    folder = Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    rectangle = rectangle_of(FLAGS.rectangle)
    rows = evaluate(enlargers, sets, cases, sheets=folder if FLAGS.sheets else None, rectangle=rectangle)
    if FLAGS.kernels:
        draw_kernels(folder, enlargers, sets, cases)
    write_tables(folder, rows, _flags.resolved_flags())
    print(markdown_table(rows))
    print(f"tables{' and picture sheets' if FLAGS.sheets else ''}: {folder}")


def sigmas_of(
    texts: Sequence[str], name: str = "sigmas", *, least: float | None = None
) -> list[float | None]:
    """Deviations as flags name them; None alone where none is named.

    Args:
        texts: numbers.
        name: of the flag.
        least: the smallest that is allowed; None for anything above 0.

    Raises:
        ValueError: for other numbers.
    """
    found = _flags.numbers(
        name,
        texts,
        lambda sigma: sigma > 0 or sigma == least,
        expected="positive numbers" if least is None else "numbers from 0 on",
        example="0.2,1.3,2.6",
    )
    return list(found) or [None]


def qualities_of(texts: Sequence[str]) -> list[int | None]:
    """JPEG qualities as flags name them; None alone where none is named.

    Raises:
        ValueError: for anything but whole numbers from 1 to 100.
    """
    found = _flags.numbers(
        "jpeg_qualities",
        texts,
        lambda quality: 1 <= quality <= 100 and quality.is_integer(),
        expected="whole numbers from 1 to 100",
        example="90,70,40",
    )
    return [int(quality) for quality in found] or [None]


def draw_kernels(
    folder: Path, enlargers: Sequence[Enlarger], sets: Mapping[str, Sequence[Path]], cases: Sequence[Case]
) -> list[Path]:
    """Draw, for each blind network, the true kernel and those found, a row a picture and case."""
    drawn = []
    pictures = [load_picture(path) for paths in sets.values() for path in paths]
    for one in enlargers:
        rows = []
        for picture in pictures:
            for case in filter(one.fits, cases):
                found = one.kernel_stages(picture, case)
                if found:
                    rows.append(KernelRow(picture.name, case.label, case.kernel, tuple(found)))
        if rows:
            path = folder / f"kernels_{one.label}.png"
            drawn.append(kernel_sheet(path, rows, title=f"{one.label}: kernels true and found"))
    return drawn


def rectangle_of(texts: Sequence[str]) -> Region | None:
    """The rectangle as the flag names it, None where it does not.

    Raises:
        ValueError: for anything but four whole numbers, the last two above 0.
    """
    found = _flags.numbers(
        "rectangle",
        texts,
        lambda number: number >= 0 and number.is_integer(),
        expected="whole numbers row,column,height,width",
        example="96,120,64,64",
    )
    checks.require(
        not found or (len(found) == 4 and min(found[2:]) > 0),
        "rectangle",
        expected="row,column,height,width",
        received=",".join(texts),
        remedy="write e.g. --rectangle=96,120,64,64",
    )
    return Region(*map(int, found)) if found else None


def _sheet(
    picture: NamedPicture,
    case: Case,
    made: Mapping[str, Estimate],
    rows: Sequence[PictureRow],
    *,
    rectangle: Region | None,
) -> PictureSheetData:
    """The sheet of one picture, in colours where the truth has some: those of the small picture."""
    truth = case.cut(picture.values) / np.float32(255.0)
    notes = {
        row.method: ", ".join(
            f"{m.heading or m.label} {m.text(row.scores[m.name])}" for m in metrics_for("luma")
        )
        for row in rows
    }
    kernels = {label: each.kernel for label, each in made.items() if each.kernel is not None}
    return PictureSheetData(
        title=f"{picture.name}, {case.label}",
        truth=truth,
        estimates={label: _coloured(label, truth, case, each.luma) for label, each in made.items()},
        notes=notes,
        kernels={"truth": case.kernel, **kernels} if kernels else {},
        crop_size=min(64, *truth.shape[:2]),
        rectangle=rectangle,
    )


def _coloured(label: str, truth: np.ndarray, case: Case, luma: np.ndarray) -> np.ndarray:
    """Y with the chroma of the enlarged small picture; Y itself of a gray picture."""
    if truth.shape[-1] == 1:
        return luma
    small = np.asarray(case.degrade(np.asarray(rgb_to_ycbcr(truth))))
    chroma = enlarge_plainly(label, small, case.scale, (truth.shape[0], truth.shape[1]))[..., 1:]
    return np.asarray(ycbcr_to_rgb(np.concatenate([luma, chroma], -1)))
