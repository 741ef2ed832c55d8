"""Trained fusion networks adapted to one scene: a sensor or a scene unlike their training set.

Taken are those whose shipped weights were trained for the cameras and those for any (`fitting_cards`), or the
one that is named, and the mean of their estimates. Weights for any cameras start from what `kernel_ls` has
learnt from this scene alone, others from the map that is fitted to the scene: 0.1 dB more at x8 than all from
the map, 0.3 at x16 and by Sentinel-2 channels, 0.9 at x8 under noise of 35 and 40 dB, on four to six CAVE
scenes held back from training. A network's estimate is the mean over the scene's eight turns (`turned.py`):
0.2 dB at x8 and x16, 0.0 at x4. Without weights for any cameras `kernel_ls` has a share of every band
(`shares.py`), large where it departs further from the closed form than the networks do: 0.1 to 0.3 dB. And
the weights of the first network may be fitted to a pair made from the scene one scale down
(`fine_tuning.py`): alone up to 0.7 dB on scenes that a network has not seen, but 0.8 to 2.7 dB lost on three
of four that it was trained on, and nothing that the share does not give too, so this is off. No paper has it
so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.closed_forms.agreeing_pair import AgreeingPair
from hsr_tf.networks.cards import ModelCard, read_card
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.selection import find_card, fitting_cards
from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.kernel_ls import KernelConfig, KernelRegression
from hsr_tf.solvers.parts.assembly import Assembly, Start
from hsr_tf.solvers.parts.fine_tuning import FineTuning, free_model
from hsr_tf.solvers.parts.gradient_fit import FitTask
from hsr_tf.solvers.parts.shares import combine, second_shares
from hsr_tf.solvers.parts.turned import ALL_TURNS, NO_TURN, OfScene, turned_estimate
from hsr_tf.solvers.solver import (
    LARGEST_SIDE,
    Controls,
    Cube,
    Iterations,
    Outcome,
    Solver,
    check_pair,
    counting_on,
)

KERNEL_TIME, TURNS_UNTIL = 0.5, 0.8
NOISY = 0.5


@dataclass(frozen=True)
class AdaptConfig:
    """Options of `Adapt`.

    Attributes:
        network: method of the trained network; empty for one that was trained for these cameras,
            else `prior`, whose weights fit any.
        weights: folder of a trained model; None for the shipped one of these sizes.
        num_steps: of the fine-tuning of the first network, 60 is a good number; 0 for none. There is none
            either where X has fewer than 8 s pixels a side, or where the images disagree by more than
            rounding: the pair would be cleaner than they are.
        learning_rate: of the fine-tuning, falling along a cosine.
        turns: average the network over the eight turns of the scene.
        kernel_share: share of `kernel_ls` in the result, 0 to 1; None to find it for each band, and for none
            where a network starts from it. With 0 there is no `kernel_ls`, and all start from the map.
    """

    network: str = ""
    weights: Path | None = None
    num_steps: int = 0
    learning_rate: float = 1e-4
    turns: bool = True
    kernel_share: float | None = None

    def __post_init__(self) -> None:
        checks.require(
            self.kernel_share is None or 0 <= self.kernel_share <= 1,
            "kernel_share",
            expected="0 to 1, or none",
            received=str(self.kernel_share),
            remedy="give a share",
        )


class Adapt(Solver):
    """A trained network fitted to one scene.

    Args:
        model: the two cameras of the scene.
        config: options.
    """

    name = "adapt"
    largest_side = LARGEST_SIDE
    finds_psf: ClassVar[bool] = True

    def __init__(self, model: ObservationModel, config: AdaptConfig = AdaptConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c).

        Weights that fit any cameras take the bands to lie evenly from 400 to 700 nm; `solve_agreeing` knows
        better.

        An iteration is one kernel of `kernel_ls` in one window, then one step of the fine-tuning.

        Raises:
            ValueError: no weights for these sizes.
            OSError: a folder that holds no trained model.
        """
        return self._solved(Assembly(self.model, lr_hsi, hr_msi), None, controls)

    def solve_agreeing(self, images: AgreeingPair, controls: Controls) -> Outcome:
        """See `Solver.solve_agreeing`; a map that was surveyed for these images is not fitted again."""
        surveyed = images.scene_map if images.as_surveyed else None
        few = not is_enough(int(images.counted.sum()), images.counted.size)
        counted = None if surveyed or few or images.counted.all() else images.counted
        assembly = Assembly(self.model, images.lr_hsi, images.hr_msi, counted, surveyed=surveyed)
        return self._solved(assembly, images.scene_map.pair.wavelengths_nm, controls)

    def _solved(
        self, assembly: Assembly, wavelengths_nm: NDArray[np.floating] | None, controls: Controls
    ) -> Outcome:
        check_pair(assembly.lr_hsi, assembly.hr_msi, self.model)
        cards = self._cards(assembly.lr_hsi.shape[-1], wavelengths_nm)
        scene = AdaptedScene(assembly, self.config, controls)
        kernels = scene.add_kernels()
        centres = None if wavelengths_nm is None else wavelengths_nm.tolist()
        fit = scene.fine_tune([free_model(card, self.model, centres) for card in cards], kernels.done)
        estimate = scene.estimate()
        details: dict[str, Any] = {
            "weights": " + ".join(card.folder.name for card in cards),
            "fine_tuning_steps": fit - kernels.done,
        }
        details["kernel_share"] = round(float(np.mean(scene.shares)), 3)
        complete = kernels.done == kernels.most and fit == scene.most
        return Outcome(estimate, fit, complete, details=details)

    def _cards(self, num_bands: int, wavelengths_nm: NDArray[np.floating] | None) -> list[ModelCard]:
        """Of the weights that are adapted."""
        network, weights = self.config.network, self.config.weights
        if not network and weights is None:
            fitting = fitting_cards(self.model, wavelengths_nm)
            checks.require(
                bool(fitting),
                "weights",
                expected="those of a network that knows these bands; the shipped ones know 400 to 700 nm",
                received=_bands_in_words(num_bands, wavelengths_nm),
                remedy="give those of a network trained for them, or use auto or kernel_ls",
            )
            return fitting
        found = find_card(
            network or read_card(str(weights)).config.method,
            weights,
            scale=self.model.scale,
            num_bands=num_bands,
            num_channels=self.model.spectral.matrix.shape[1],
        )
        return [found]


def _bands_in_words(num_bands: int, wavelengths_nm: NDArray[np.floating] | None) -> str:
    if wavelengths_nm is None:
        return f"{num_bands} bands without wavelengths"
    return f"{num_bands} bands, {wavelengths_nm.min():g} to {wavelengths_nm.max():g} nm"


class AdaptedScene:
    """One scene, its closed form, what `kernel_ls` makes of it, and the network.

    Args:
        assembly: the images and their closed form.
        config: options.
        controls: how the solver is run.
    """

    def __init__(self, assembly: Assembly, config: AdaptConfig, controls: Controls) -> None:
        model, images = assembly.model, (assembly.lr_hsi, assembly.hr_msi)
        self._model, self._config, self._images, self._controls = model, config, images, controls
        self._began = time.perf_counter()
        self._assembly = assembly
        self._start: Start = self._assembly.start()
        kernels = KernelConfig() if config.kernel_share != 0 else KernelConfig(draws=0)
        self._regression = KernelRegression(model, kernels.plan, self._start, images[1], controls.seed)
        self._networks: list[FusionModel] = []
        self.most = self._regression.most
        self.shares: NDArray[np.float32] = np.zeros(images[0].shape[-1], np.float32)

    def add_kernels(self) -> Iterations:
        """Fit the kernels, or those that half of the time allows."""
        limit = self._controls.max_seconds
        part = replace(self._controls, max_seconds=None if limit is None else KERNEL_TIME * limit)
        iterations = Iterations("adapt", self.most, part)
        steps = self._regression.steps()
        for _ in iterations:
            next(steps)
            iterations.report(None, self._of_kernels)
        return iterations

    def fine_tune(self, networks: list[FusionModel], done: int) -> int:
        """Fit the first network's weights where that can be done; the iterations after it."""
        self._networks, network = networks, networks[0]
        tuning = FineTuning(network, self._model, self._images[0])
        if not self._config.num_steps or not tuning.possible or self._noisy():
            return done
        self.most += self._config.num_steps
        task = FitTask(
            name="adapt",
            variables=network.trainable_variables,
            loss=tuning.loss,
            held_out_error=None,
            estimate=self.estimate,
            fingerprint=(*self._images, self._config),
        )
        controls = counting_on(self._left(), done, self.most)
        return (
            done + tuning.run(self._config.num_steps, self._config.learning_rate, task, controls).iterations
        )

    def estimate(self) -> Cube:
        """The networks' estimate, joined by `kernel_ls`; explains both images."""
        cube = np.zeros((*self._images[1].shape[:2], self._images[0].shape[-1]), np.float32)
        with_kernels = self._config.kernel_share != 0 and self._regression.finished
        own = self._of_kernels() if with_kernels else None
        for number, network in enumerate(self._networks):
            part = self._turned(network, len(self._networks) - number, own if network.view else None)
            cube += part / np.float32(len(self._networks))
        self._assembly.complete(cube)
        found = self._config.kernel_share is None
        if own is None or (found and any(network.view for network in self._networks)):
            return cube
        if found:
            self.shares = second_shares(self._closed_form(), cube, own)
        else:
            self.shares = np.full(cube.shape[-1], self._config.kernel_share, np.float32)
        combine(cube, own, self.shares)
        del own
        self._assembly.complete(cube)
        return cube

    def _turned(self, network: FusionModel, sharers: int, base: Cube | None) -> Cube:
        """The mean over the turns, of as many as an equal part of the time that is left allows.

        A network for any cameras starts at `base` where there is one.
        """
        limit = self._controls.max_seconds
        left = None if limit is None else TURNS_UNTIL * limit - (time.perf_counter() - self._began)
        own_map = network.config.base == "spectral_ls"
        return turned_estimate(
            network,
            *self._images,
            scene=OfScene(tf.constant(self._start.spectral_map[None]) if own_map else None, base),
            turns=ALL_TURNS if self._config.turns else NO_TURN,
            max_seconds=None if left is None else left / sharers,
        )

    def _of_kernels(self) -> Cube:
        vectors = self._regression.subspace.vectors
        cube = self._assembly.cube(self._start.spectral_map, self._regression.codes(), vectors)
        self._assembly.complete(cube)
        return cube

    def _closed_form(self) -> Cube:
        cube = self._assembly.cube(self._start.spectral_map)
        self._assembly.complete(cube)
        return cube

    def _noisy(self) -> bool:
        """Whether the images disagree by so much that projecting the closed form onto them would lose."""
        return self._assembly.trust(self._start.residual) < NOISY

    def _left(self) -> Controls:
        """The controls with the time that is left, less what the last estimate takes."""
        if self._controls.max_seconds is None:
            return self._controls
        before = time.perf_counter()
        self.estimate()
        spent, last = before - self._began, time.perf_counter() - before
        left = self._controls.max_seconds - spent - 2.2 * last
        return replace(self._controls, max_seconds=max(1e-3, left))
