"""A fusion network with its base: what is trained, saved, exported and served.

`FusionModel` wraps any network of the registry. Without a base it is the published form. With one the network
learns the residual: estimate = base(X, Y) + network([X, r], [Y, base(X, Y)]), where r = X - D(LS map of Y)
tells the coarse pathway where the closed-form map fails. The base runs inside the call, in float32; the
network may run in mixed precision. Intermediate estimates are residuals over the reduced base likewise.

The base "sylvester" is the closed form of `hsr_tf.closed_forms.sylvester` around the enlarged X; `consistent`
then takes the same closed form around the network's estimate, the last step of DHSIS, instead of the
projection. A configuration of "dhsis" has both unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
from keras import ops

from hsr_tf import checks, methods
from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.quadratic_map import BASES, SpectralLS
from hsr_tf.closed_forms.sylvester import SylvesterBase
from hsr_tf.networks.cards import FusionConfig as FusionConfig
from hsr_tf.networks.cards import cameras_from_dict as cameras_from_dict
from hsr_tf.networks.cards import cameras_to_dict as cameras_to_dict
from hsr_tf.networks.layers import FusionNetwork, NetworkSpec
from hsr_tf.networks.losses import level_reduction
from hsr_tf.networks.reach import Parts, fusion_reach
from hsr_tf.networks.reference_view import ReferenceView
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge, bicubic_levels
from hsr_tf.typing import Tensor


@keras.saving.register_keras_serializable("hsr_tf")
class FusionModel(keras.Model):
    """A fusion network over a base.

    Args:
        config: what to build.
        cameras: the two cameras; needed by the bases "spectral_ls" and "sylvester" and by `consistent`.
        network: of this configuration, which is then shared; by default a new one.

    Input: {"lr_hsi": (B, h, w, C), "hr_msi": (B, s h, s w, c)} and, when the images are a part of a scene and
    the base is "spectral_ls", what `shared` found for the whole of it: "spectral_map" (B, K, C), and "trust"
    (B, 1, 1, 1).
    Output: the estimate (B, s h, s w, C), float32; `levels` gives the intermediate ones as well.

    Raises:
        ValueError: for an unknown method or base, or cameras that are missing or of another scale.
    """

    def __init__(
        self,
        config: FusionConfig,
        cameras: ObservationModel | None = None,
        network: FusionNetwork | None = None,
    ) -> None:
        super().__init__(dtype="float32", name=config.method)
        checks.require_choice("base", config.base, BASES)
        needed = config.consistent or config.base in ("spectral_ls", "sylvester")
        checks.require(
            not needed or (cameras is not None and cameras.scale == config.scale),
            "cameras",
            expected=f"an ObservationModel of scale {config.scale} for the base {config.base}",
            received="none" if cameras is None else f"scale {cameras.scale}",
            remedy="give the PSF and the response",
        )
        self.config, self.cameras = config, cameras
        known = cameras if needed else None
        self._consistency = DataConsistency(known) if known else None
        self._least_squares = SpectralLS(known) if known and config.base == "spectral_ls" else None
        self._sylvester = SylvesterBase(known) if known and config.base == "sylvester" else None
        method, options = methods.get(config.method), dict(config.options)
        self.network = method.build(network_spec(config), **options) if network is None else network
        # How the network of other cameras sees the pair; None where it is given the images as they are.
        self.view: ReferenceView | None = method.attribute("view_of")(config) if method.any_cameras else None
        self.built = True

    def fit(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor | None:
        """The scene's spectral map (B, K, C) for the base "spectral_ls", None for the others."""
        return None if self._least_squares is None else self._least_squares.fit(lr_hsi, hr_msi)

    def shared(self, lr_hsi: Tensor, hr_msi: Tensor, counted: Tensor | None = None) -> dict[str, Tensor]:
        """What parts of a scene share: "spectral_map" and "trust" of the base "spectral_ls", else nothing.

        Coarse pixels whose weight in `counted` (B, h, w, 1) is 0 take no part in them.
        """
        if self._least_squares is None:
            return {}
        spectral_map = self._least_squares.fit(lr_hsi, hr_msi, counted)
        trust = self._least_squares.trusted(spectral_map, lr_hsi, hr_msi, counted)
        return {"spectral_map": spectral_map, "trust": trust}

    @cached_property
    def reach(self) -> int | None:
        """Coarse pixels on each side that an estimated pixel looks at, given what `shared` says of the scene.

        Tiles with this margin equal the whole to 1e-4. None where they would not, see `fusion_reach`: with
        `consistent` over the bases "none" and "bicubic", whose trust in the observations no tile knows; with
        cameras whose border is circular; with a PSF whose inverse is found by conjugate gradients; and for a
        network of other cameras, whose cells begin where those of the scene do.
        """
        if self.view is not None:
            return None
        parts = Parts(self.config.base, self._consistency, self._sylvester, bool(self.config.consistent))
        return fusion_reach(self.network, parts)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """The estimate (B, s h, s w, C)."""
        del training
        return self.levels(inputs)["estimate"]

    def levels(self, inputs: dict[str, Tensor], *, fitted: bool = True) -> dict[str, Tensor]:
        """Every level's estimate: "estimate" and, for networks that have them, "estimate_<reduction>".

        Without `fitted` the estimate is what the network adds to its base, before `consistent` fits it.
        """
        lr_hsi, hr_msi = inputs["lr_hsi"], inputs["hr_msi"]
        start = self.start(lr_hsi, hr_msi, inputs.get("spectral_map"), inputs.get("trust"))
        outputs = self.network(self.given(start))
        estimates = {name: self.added(ops.cast(y, "float32"), start) for name, y in outputs.items()}
        if start.base is not None:
            reductions = {name: level_reduction(name) for name in estimates}
            bases = bicubic_levels(start.base, {*reductions.values()})
            estimates = {name: y + bases[reductions[name]] for name, y in estimates.items()}
        if self.config.consistent and fitted:
            estimates["estimate"] = self._fitted(estimates["estimate"], lr_hsi, hr_msi, start.trust)
        return estimates

    def steps(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each step of a model finds: "base", "network" (added to the base), "estimate" (fitted)."""
        base = self.start(inputs["lr_hsi"], inputs["hr_msi"]).base
        free = self.levels(inputs, fitted=False)["estimate"]
        return {"base": base, "network": free, "estimate": self(inputs)}

    def start(
        self,
        lr_hsi: Tensor,
        hr_msi: Tensor,
        spectral_map: Tensor | None = None,
        trust: Tensor | None = None,
    ) -> Start:
        """What the network starts from; one of other cameras has the enlarged X for want of a base."""
        if self.config.base == "none" and self.view is None:
            return Start(None, lr_hsi, hr_msi, None)
        guide = lr_hsi
        if self._sylvester is not None:
            base = self._sylvester(lr_hsi, hr_msi)
        elif self._least_squares is None:
            base = bicubic_enlarge(lr_hsi, self.config.scale)
        else:
            fitted = self._least_squares.fit(lr_hsi, hr_msi) if spectral_map is None else spectral_map
            found = self._least_squares.explained(fitted, lr_hsi, hr_msi, trust=trust)
            base, trust = found.estimate, found.trust
            guide = ops.concatenate([lr_hsi, found.residual], -1)
        return Start(base, guide, ops.concatenate([hr_msi, base], -1), trust)

    def start_at(self, base: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Start:
        """The start at another estimate (B, s h, s w, C), which leaves nothing of the two images."""
        guide = ops.concatenate([lr_hsi, 0.0 * lr_hsi], -1) if self._least_squares else lr_hsi
        return Start(base, guide, ops.concatenate([hr_msi, base], -1), None)

    def given(self, start: Start) -> dict[str, Tensor]:
        """The inputs of the network."""
        if self.view is None:
            return {"lr_hsi": start.guide, "hr_msi": start.sharp}
        assert start.base is not None
        left = start.guide[..., self.config.num_bands :] if self._least_squares else 0.0 * start.guide
        return self.view.images(start.base, bicubic_enlarge(left, self.config.scale))

    def added(self, found: Tensor, start: Start) -> Tensor:
        """What the network adds to the base, from its answer to `given`; one without a base: its estimate."""
        if self.view is None:
            return found
        height, width = ops.shape(start.base)[1:3]
        return self.view.left(found[:, :height, :width])

    def _fitted(self, free: Tensor, lr_hsi: Tensor, hr_msi: Tensor, trust: Tensor | None) -> Tensor:
        """The estimate fitted to both observations."""
        if self._sylvester is not None:
            return self._sylvester.refine(free, lr_hsi, hr_msi)
        assert self._consistency is not None
        projected = self._consistency.project(free, lr_hsi, hr_msi)
        if trust is None:
            left = self._consistency.residual(ops.stop_gradient(free), lr_hsi)
            trust = self._consistency.trust(lr_hsi, hr_msi, left)
        return free + trust * (projected - free)

    def for_inference(self) -> FusionModel:
        """The same model in float32 without the heads that only training needs; the weights are copied."""
        options = tuple(sorted(self.network.inference_options().items()))
        lean = FusionModel(replace(self.config, options=options, dtype="float32"), self.cameras)
        for layer in lean.network.layers:
            layer.set_weights(self.network.get_layer(layer.name).get_weights())
        return lean

    def for_cameras(self, cameras: ObservationModel, wavelengths_nm: Sequence[float] | None) -> FusionModel:
        """The same weights for other bands, channels, scale and cameras, in float32.

        The network is shared with this model, with what is compiled of it, unless this one is of another
        precision.

        Args:
            cameras: the two cameras.
            wavelengths_nm: (C,) band centres; None for evenly from 400 to 700 nm.

        Raises:
            ValueError: a network whose weights are those of one pair of cameras.
        """
        checks.require(
            self.view is not None,
            "method",
            expected="a network whose weights fit any cameras (prior)",
            received=self.config.method,
            remedy="train one for these cameras",
        )
        options = {name: value for name, value in self.config.options if name != "wavelengths_nm"}
        if wavelengths_nm is not None:
            options["wavelengths_nm"] = [float(n) for n in wavelengths_nm]
        num_bands, num_channels = cameras.spectral.matrix.shape
        config = replace(
            self.config,
            scale=cameras.scale,
            num_bands=num_bands,
            num_channels=num_channels,
            options=tuple(sorted(options.items())),
            dtype="float32",
        )
        if self.config.dtype == config.dtype:  # nothing in the network depends on the pair
            return FusionModel(config, cameras, self.network)
        other = FusionModel(config, cameras)
        other.network.set_weights(self.network.get_weights())
        return other

    def get_config(self) -> dict[str, Any]:
        """Configuration and cameras as plain data."""
        return {"config": self.config.to_json(), "cameras": cameras_to_dict(self.cameras)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FusionModel:
        """The model of `get_config`, without its weights."""
        del custom_objects
        return cls(FusionConfig.from_json(config["config"]), cameras_from_dict(config["cameras"]))


@dataclass(frozen=True)
class Start:
    """What the network starts from.

    Attributes:
        base: (B, s h, s w, C) that the network adds to, or None.
        guide: (B, h, w, C or 2 C), its coarse input, but of other cameras (see `FusionModel.given`).
        sharp: (B, s h, s w, c or c + C), its sharp input likewise.
        trust: in projections, (B, 1, 1, 1), where the base tells.
    """

    base: Tensor | None
    guide: Tensor
    sharp: Tensor
    trust: Tensor | None


def network_spec(config: FusionConfig) -> NetworkSpec:
    """What the network of a configuration is built from: with a base it is given more channels."""
    with_base = config.base != "none"
    return NetworkSpec(
        scale=config.scale,
        num_bands=config.num_bands,
        lr_channels=config.num_bands * (2 if config.base == "spectral_ls" else 1),
        hr_channels=config.num_channels + (config.num_bands if with_base else 0),
        zero_head=with_base,
        init=config.init,
        seed=config.seed,
        dtype=config.dtype,
    )
