"""Versions of the packages that affect scores or pixels, for records and reports."""

from __future__ import annotations

import functools
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
    return {"assay": __version__} | {package: _version(package) for package in PACKAGES}


@functools.cache
def _version(package: str) -> str:
    """Return a package's version, or `not installed`; its metadata are parsed once per process."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
