"""Which trained weights enlarge a picture by a factor, and the network made of them."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

from hsr_tf import checks
from hsr_tf.networks.cards import ModelCard, read_card, shipped_models
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.model_info import SINGLE_IMAGE
from hsr_tf.networks.pretrained import load_image_network
from hsr_tf.networks.selection import describe_fit


def select_image_network(method: str, weights: str | os.PathLike[str] | None, scale: float) -> ModelCard:
    """The card of the weights given, else of the shipped ones whose factor is the least that is enough.

    A network without a factor of its own is enough for any; where all shipped factors are too small the
    largest is taken.

    Raises:
        ValueError: weights of another method; none given and none shipped.
        OSError: a folder that holds no network of single images.
    """
    if weights is not None:
        card = read_card(weights)
        if card.kind != SINGLE_IMAGE:
            raise checks.file_error(
                weights,
                "holds a model that fuses two images",
                "give the folder of a network of single images",
            )
        checks.require(
            card.config.method == method,
            "weights",
            expected=f"weights of {method}",
            received=f"{card.folder} for {describe_fit(card.config)}",
            remedy=f"give those of {method}, or --method={card.config.method}",
        )
        return card
    cards = [card for card in shipped_models(SINGLE_IMAGE) if card.config.method == method]
    checks.require(
        bool(cards),
        "weights",
        expected=f"trained weights of {method}",
        received="none, and none come with the package",
        remedy="give the folder of a trained model (--weights=FOLDER), or use bicubic, which needs none",
    )
    enough = [card for card in cards if (card.config.scale or math.inf) >= scale]
    if enough:
        return min(enough, key=lambda card: card.config.scale or scale)
    return max(cards, key=lambda card: card.config.scale or 0)


def loaded(card: ModelCard) -> ImageNetwork:
    """The network of a card, kept with its compiled function as long as its files stay as they are."""
    return _loaded(card.folder, tuple(path.stat().st_mtime_ns for path in sorted(card.folder.iterdir())))


@lru_cache(maxsize=4)
def _loaded(folder: Path, stamps: tuple[int, ...]) -> ImageNetwork:
    del stamps
    return load_image_network(folder)
