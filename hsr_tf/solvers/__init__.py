"""Solvers: one scene, no training set, iterative. `METHODS` describes them without importing any."""

from hsr_tf.methods import Method

METHODS = (
    Method(
        name="adapt",
        kind="solver",
        summary="a trained network, ms_ssfnet by default, adapted to this scene by its own two images",
        source="zero-shot pairs as of Shocher et al., CVPR 2018, on any fusion network",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.adapt:Adapt",
    ),
    Method(
        name="blind_deep_prior",
        kind="solver",
        summary="deep_prior without knowing the cameras: PSF, response and shift are found from the pair",
        source="blind unsupervised fusion with a deep prior; see hsr_tf.solvers.blind_deep_prior",
        needs=(),
        builder="hsr_tf.solvers.blind_deep_prior:BlindDeepPrior",
    ),
    Method(
        name="cnmf",
        kind="solver",
        summary="coupled non-negative matrix factorisation by multiplicative updates",
        source="Yokoya, Yairi, Iwasaki, IEEE TGRS 50(2), 2012",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.cnmf:CnmfSolver",
    ),
    Method(
        name="csu",
        kind="solver",
        summary="coupled spectral unmixing: endmembers and abundances on the simplex explain both images",
        source="Lanaras, Baltsavias, Schindler, ICCV 2015",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.csu:CsuSolver",
    ),
    Method(
        name="deep_prior",
        kind="solver",
        summary="a network fitted to this scene by both images, over kernel_ls",
        source="unsupervised fusion with a deep prior; see hsr_tf.solvers.deep_prior",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.deep_prior:DeepPrior",
    ),
    Method(
        name="hysure",
        kind="solver",
        summary="vector total variation of the codes in a spectral subspace (HySure)",
        source="Simoes et al., IEEE TGRS 53(6), 2015",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.hysure:Hysure",
    ),
    Method(
        name="kernel_ls",
        kind="solver",
        summary="spectral_ls, and kernel regression of its residual on colour and position",
        source="Rahimi and Recht, NIPS 2007, on spectral_ls",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.kernel_ls:KernelLS",
    ),
    Method(
        name="nnsr",
        kind="solver",
        summary="non-negative sparse codes in a dictionary of X, alike where the sharp image is alike (NSSR)",
        source="Dong et al., IEEE TIP 25(5), 2016",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.nnsr:Nnsr",
    ),
    Method(
        name="sylvester",
        kind="solver",
        summary="Gaussian prior around the bicubic cube in a spectral subspace, in closed form (FUSE)",
        source="Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015",
        needs=("psf", "srf"),
        builder="hsr_tf.solvers.sylvester:SylvesterSolver",
    ),
)
