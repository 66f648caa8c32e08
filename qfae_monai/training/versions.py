"""Versions of the packages that numbers depend on, for records of runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("monai", "torch", "timm", "numpy", "scikit-learn", "nibabel", "SimpleITK", "pydicom")


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
