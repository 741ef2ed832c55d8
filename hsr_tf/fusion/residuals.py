"""Whether what an estimate leaves of the two images is more than their noise.

A cube that explains both images leaves their noise, or less where it follows the noise: |X - D Z| / |X| and
|Y - Z R| / |Y| are then at most the relative noise of X and Y, which `hsr_tf.closed_forms.noise_level`
estimates from the images themselves. More says that the cameras are not those of the images, that the images
do not show the same, or that the method does not follow an image.
"""

from __future__ import annotations

from hsr_tf.closed_forms.noise_level import relative_noise
from hsr_tf.findings import WARNING, Finding
from hsr_tf.scene import Observation
from hsr_tf.wording import percent

LARGEST, TIMES_NOISE = 0.05, 2.0
ADVICE = "do not rely on the estimate; run hsr check on the pair, or choose another method"


class ResidualWarning(UserWarning):
    """An estimate does not explain the images that it was made from."""


def residual_findings(
    observation: Observation, lr_hsi_residual: float | None, hr_msi_residual: float | None
) -> tuple[Finding, ...]:
    """Compare the relative residuals of an estimate with the noise of the images.

    Args:
        observation: X and Y.
        lr_hsi_residual: |X - D Z| / |X|, None where it is not known.
        hr_msi_residual: |Y - Z R| / |Y|, likewise.

    Returns:
        A warning per image whose residual is over 5 % and over twice its relative noise.
    """
    images = {
        "lr_hsi": (observation.lr_hsi, lr_hsi_residual),
        "hr_msi": (observation.hr_msi, hr_msi_residual),
    }
    findings = []
    for name, (scene, residual) in images.items():
        if residual is None or residual <= LARGEST:
            continue
        noise = relative_noise(scene.cube, scene.nodata_mask)
        if residual > TIMES_NOISE * noise:
            said = (
                f"the estimate does not explain {name}: residual {percent(residual)}, noise {percent(noise)}"
            )
            findings.append(Finding(WARNING, f"{name} residual", said, ADVICE))
    return tuple(findings)
