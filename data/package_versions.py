"""Versions of the packages that affect scores or pixels, for records and reports."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from ..version import __version__

PACKAGES: Final = (
    "torch",
    "torchvision",
    "openvino",
    "transformers",
    "timm",
    "diffusers",
    "pillow",
    "numpy",
)


def package_versions() -> dict[str, str]:
    """Return the versions of assay and of `PACKAGES`, without importing them."""
    found = {"assay": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
