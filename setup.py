"""What a wheel holds inside of the package and the checkout beside it (`package_dir` in setup.cfg), built afresh."""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """A build that does not take up files which an earlier one left in `build/` and the sources no longer have."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    packages=[*find_packages(include=["qfae_monai*"]), "qfae_monai.bundle", "qfae_monai.preprocessing"],
    cmdclass={"build_py": FreshBuild},
)
