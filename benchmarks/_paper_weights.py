"""Weights of the papers' tables that come with the package, for methods that have no others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._equal_budgets import PLAN
from hsr_tf.files import write_json
from hsr_tf.networks.cards import CARD, SHIPPED, WEIGHTS, FusionConfig, ModelCard, read_card

RUN_PLANS, BUDGET = f"*.plan/{PLAN}", "budget_minutes"


def keep(model: Path, place: Path, others: Sequence[ModelCard], folder: Path = SHIPPED) -> Path | None:
    """Copy a trained model into the package, with its scores and the minutes that it was trained for.

    Args:
        model: its folder.
        place: folder of its row, with the plans of its runs and its scores.
        others: the models that come with the package; where one of them is of the same method and for the
            same sizes and was not trained for such a budget, nothing is copied.
        folder: of those models.

    Returns:
        The folder of the copy, or None.
    """
    card = read_card(model)
    target = folder / name_of(card)
    if any(_alike(card, other) and BUDGET not in other.record for other in others):
        return None
    plans = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.glob(RUN_PLANS))]
    means = json.loads((place / "scores" / "scores.json").read_text(encoding="utf-8"))["mean"]
    told: dict[str, Any] = json.loads((model / CARD).read_text(encoding="utf-8"))
    told["record"][BUDGET] = sum(plan["minutes"] for plan in plans)
    told["record"]["scores"] = _scores(means)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / WEIGHTS, target / WEIGHTS)
    write_json(target / CARD, told)
    return target


def name_of(card: ModelCard) -> str:
    """Its folder: "ssf_cnn_nikon_d700_31_x16", "srresnet_sft_x4", "srcnn"."""
    config, camera = card.config, card.record.get("flags", {}).get("srf")
    cameras = f"_{camera}_{config.num_bands}" if isinstance(config, FusionConfig) else ""
    return f"{config.method}{cameras}" + ("" if config.scale is None else f"_x{config.scale}")


def _alike(card: ModelCard, other: ModelCard) -> bool:
    if isinstance(card.config, FusionConfig):
        return other.fits(card.config)
    return (card.config.method, card.config.scale) == (other.config.method, other.config.scale)


def _scores(means: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of cubes by metric, of pictures by set and case."""
    if "set" not in means[0]:
        return {f"cave_test x{mean['scale']}": mean["mean"] for mean in means}
    found: dict[str, Any] = {}
    for mean in means:
        case = f"x{mean['scale']:g}" + ("" if mean["sigma"] is None else f" sigma {mean['sigma']:g}")
        found.setdefault(mean["set"], {})[case] = {"psnr": round(mean["psnr"], 2)}
    return found
