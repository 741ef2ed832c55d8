"""Closed-form methods: one formula, no training and no iterations; `METHODS` lists those of `hsr_tf.fuse`."""

from hsr_tf.methods import Method

METHODS = (
    Method(
        name="auto",
        kind="closed_form",
        summary="the mean of those methods that predict held-out pixels of this scene best together: "
        "closed forms, kernel_ls, shipped networks that fit, more solvers with enough --max_seconds",
        source="hsr_tf.fusion.auto",
        needs=("psf", "srf"),
        builder="hsr_tf.fusion.auto:Auto",
    ),
    Method(
        name="bicubic",
        kind="closed_form",
        summary="bicubic enlargement of the coarse cube; the colour image is not used",
        source="Keys, IEEE TASSP 29(6), 1981",
        needs=(),
        builder="hsr_tf.closed_forms.bicubic:Bicubic",
    ),
    Method(
        name="colour_kernel",
        kind="closed_form",
        summary="kernel regression from colours to spectra, fitted to the coarse cube alone; needs no PSF",
        source="Nystroem features, Williams and Seeger, NIPS 2000",
        needs=("srf",),
        builder="hsr_tf.closed_forms.colour_kernel:ColourKernel",
    ),
    Method(
        name="spectral_ls",
        kind="closed_form",
        summary="per-scene map from colours to spectra, as complex as the scene allows; "
        "agrees with both images",
        source="the baseline for learnt methods",
        needs=("psf", "srf"),
        builder="hsr_tf.closed_forms.spectral_ls:FittedSpectralLS",
    ),
)
