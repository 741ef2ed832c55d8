"""Build step of the wheel: trainers, export and serving become hsr_tf.trainers and so on.

They stay beside hsr_tf in a checkout, where `python -m trainers.fusion` runs them, and an editable install
leaves them there. A wheel must not own such general names at the top of an environment, so it holds them
below hsr_tf, their imports of one another renamed (`tools/renaming.py`). Everything else is in setup.cfg.
"""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))
from renaming import APPS, copy_renamed, modules_of  # noqa: E402


class BuildWithApps(build_py):
    """Copies the packages of the applications below hsr_tf as well."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            names = {app: f"hsr_tf.{app}" for app in APPS}
            copy_renamed(ROOT, Path(self.build_lib), modules_of(ROOT, APPS), names)


setup(cmdclass={"build_py": BuildWithApps})
