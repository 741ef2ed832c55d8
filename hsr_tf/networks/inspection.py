"""A network by name, or of a model's folder, taken apart: what `hsr network` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hsr_tf import checks, methods
from hsr_tf.closed_forms.quadratic_map import BASES
from hsr_tf.files import plain
from hsr_tf.networks.cards import (
    AS_PUBLISHED,
    CARD,
    SHIPPED,
    FusionConfig,
    ImageConfig,
    ImageSpec,
    ModelCard,
    read_card,
    shipped_models,
)
from hsr_tf.networks.fusion_model import FusionModel, cameras_from_dict, network_spec
from hsr_tf.networks.image_network import build_network
from hsr_tf.networks.model_info import FUSION, METADATA_FILE, SINGLE_IMAGE, ModelInfo
from hsr_tf.networks.selection import describe_fit
from hsr_tf.networks.structure import Structure, read_structure, size_words
from hsr_tf.options import network_options

# Rows and columns differ, so that a size says which is which, and both can be halved often.
UNIT = (64, 128)
SCALES = {FUSION: 8, SINGLE_IMAGE: 4}
NUM_BANDS, NUM_CHANNELS = 31, 3


@dataclass(frozen=True)
class Sizes:
    """What a network is built for; None for the default.

    Attributes:
        scale: s; 8 for fusion, 4 for single pictures, none for networks that keep the size.
        num_bands: C, of a fusion network; 31.
        num_channels: of the sharp image, 3, or of the single picture, 1.
        base: closed form that a fusion network adds to; that of its published form, "none" for most.
    """

    scale: int | None = None
    num_bands: int | None = None
    num_channels: int | None = None
    base: str | None = None

    @property
    def given(self) -> list[str]:
        """The names of those that are not None."""
        return [name for name, value in vars(self).items() if value is not None]


@dataclass(frozen=True, eq=False)
class Inspection:
    """A network taken apart.

    Attributes:
        config: that builds it.
        summary: what it is, of the registry, and its source.
        structure: its graph.
        margin: coarse pixels that an estimated pixel of a trained fusion model looks at around the one above
            it, base and fit included; None where there are none, or it is not known.
        folder: of the trained model, or None.
    """

    config: FusionConfig | ImageConfig
    summary: str
    structure: Structure
    margin: int | None = None
    folder: Path | None = None

    @property
    def fit(self) -> str:
        """What it is built for, e.g. "vdsr, luminance, any factor"."""
        return describe_fit(self.config)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        structure = self.structure
        found = {
            "network": self.config.method,
            "fit": self.fit,
            "summary": self.summary,
            "folder": None if self.folder is None else str(self.folder),
            "config": self.config.to_json(),
            "parameters": structure.parameters,
            "fixed_parameters": structure.fixed_parameters,
            "receptive_field": dict(structure.receptive_field),
            "margin": self.margin,
            "multiply_adds": structure.multiply_adds,
            "multiply_adds_once": structure.multiply_adds_once,
            "outputs": {name: structure.nodes[number].name for name, number in structure.outputs.items()},
            "layers": [
                {
                    **{name: value for name, value in vars(node).items() if name != "size"},
                    "size": size_words(node.size, structure),
                }
                for node in structure.nodes
            ],
        }
        return {name: plain(value) for name, value in found.items()}


def inspect_network(name: str, sizes: Sizes = Sizes(), *, options: Sequence[str] = ()) -> Inspection:
    """Take a network apart.

    Args:
        name: of a registered network, of a model that comes with the package, or a folder that a trainer or
            `export.saved_model` wrote.
        sizes: what a registered network is built for.
        options: `name=value` for a registered network, see `hsr_tf.options`.

    Raises:
        ValueError: an unknown name, sizes that the network refuses, or sizes and options for a folder, which
            has its own.
        OSError: a folder that holds no model.
    """
    card = _card(name)
    if card is None:
        return _taken_apart(_config(name, sizes, options), any_scale=sizes.scale is None)
    given = {**{key: getattr(sizes, key) for key in sizes.given}, **({"option": options} if options else {})}
    checks.require(
        not given,
        next(iter(given), "name"),
        expected=f"none for a trained model, whose {CARD} has them",
        received=", ".join(f"{key} {value}" for key, value in given.items()),
        remedy="leave them out, or give the name of a network",
    )
    return replace(_taken_apart(card.config, card), folder=card.folder)


def _card(name: str) -> ModelCard | None:
    """The card of a folder or of a model that comes with the package; None for a name of the registry."""
    known = [*methods.names(FUSION), *methods.names(SINGLE_IMAGE)]
    if name in known:
        return None
    folder = Path(name)
    if (folder / METADATA_FILE).is_file():
        return _exported(folder)
    if folder.is_dir():
        return read_card(folder)
    shipped = [card.folder.name for card in shipped_models()]
    checks.require_choice("network", name, dict.fromkeys([*known, *shipped]))
    return read_card(SHIPPED / name)


def _exported(folder: Path) -> ModelCard:
    info = ModelInfo.read(folder)
    kind = FusionConfig if info.kind == FUSION else ImageConfig
    config = kind.from_json(info.config)
    return ModelCard(folder, config, cameras_from_dict(info.cameras), info.record, info.kind)


def _config(name: str, sizes: Sizes, options: Sequence[str]) -> FusionConfig | ImageConfig:
    """The configuration of a registered network."""
    method = methods.get(name, (FUSION, SINGLE_IMAGE))
    checks.require_positive_integers(**{key: getattr(sizes, key) for key in sizes.given if key != "base"})
    chosen = network_options(method, options)
    if method.kind == FUSION:
        if sizes.base is not None:
            checks.require_choice("base", sizes.base, BASES)
        return FusionConfig(
            name,
            sizes.scale or SCALES[FUSION],
            sizes.num_bands or NUM_BANDS,
            sizes.num_channels or NUM_CHANNELS,
            base=sizes.base or AS_PUBLISHED,
            options=tuple(sorted(chosen.items())),
        )
    for key in ("num_bands", "base"):
        checks.require(
            key not in sizes.given,
            key,
            expected=f"none for {name}, which enlarges single pictures",
            received=str(getattr(sizes, key)),
            remedy="leave it out",
        )
    spec = ImageSpec(sizes.scale or SCALES[SINGLE_IMAGE], sizes.num_channels or 1)
    return ImageConfig(name, spec, chosen)


def _taken_apart(
    config: FusionConfig | ImageConfig, card: ModelCard | None = None, *, any_scale: bool = False
) -> Inspection:
    """Build and read; with `any_scale` a network that refuses a factor is built without one."""
    method, margin, scale = methods.get(config.method), None, 1
    if isinstance(config, ImageConfig):
        try:
            network = build_network(config)
        except checks.InputError as error:
            if error.argument != "scale" or not any_scale:
                raise
            config = replace(config, spec=replace(config.spec, scale=None))
            network = build_network(config)
    else:
        scale = config.scale
        if card is None:
            network = method.build(network_spec(config), **dict(config.options))
        else:
            model = FusionModel(config, card.cameras)
            network, margin = model.network, model.reach
    structure = read_structure(network, UNIT, scale=scale)
    return Inspection(config, f"{method.summary} ({method.source})", structure, margin)
