"""A wrapper that stops calling a generator after many failures in a row."""

from __future__ import annotations

import functools
from typing import Any, Final

from ...data.errors import GeneratorFailed
from .answers import answer_of
from .presets import Preset
from .protocol import Generator, ImageRequest, Rgb

MAX_FAILURES_IN_A_ROW: Final = 20
"""Limit that keeps a service that is down from costing its timeout for thousands of images."""


class GuardedGenerator:
    """A wrapper that refuses every request after `MAX_FAILURES_IN_A_ROW` failures in a row.

    Requests that the generator refuses as impossible do not count.
    """

    def __init__(self, inner: Generator) -> None:
        self.inner = inner
        self._n_failed = 0
        self._last = ""

    @property
    def generator_id(self) -> str:
        """Id of the wrapped generator."""
        return self.inner.generator_id

    @property
    def license_flags(self) -> tuple[str, ...]:
        """Licence flags of the wrapped generator."""
        return self.inner.license_flags

    @property
    def preset(self) -> Preset | None:
        """Preset of the wrapped generator; None if it has none."""
        return getattr(self.inner, "preset", None)

    @property
    def lora(self) -> str | None:
        """Adapters of the wrapped generator; None if it has none."""
        return getattr(self.inner, "lora", None)

    @functools.cached_property
    def contents(self) -> Any:
        """Contents of the wrapped generator, read once; None if it has none."""
        return getattr(self.inner, "contents", None)

    def check(self, request: ImageRequest) -> None:
        """Refuse what the wrapped generator refuses, and everything after too many failures.

        Raises:
            GeneratorFailed: The generator failed `MAX_FAILURES_IN_A_ROW` times in a row.
            SynthError: The wrapped generator refuses the request.
        """
        if self._n_failed >= MAX_FAILURES_IN_A_ROW:
            raise GeneratorFailed(
                f"not tried: {self.generator_id} failed {self._n_failed} times in a row "
                f"({self._last}); repair it and run again"
            )
        self.inner.check(request)

    def make(self, request: ImageRequest) -> Rgb:
        """Return the image of the wrapped generator, and count failures.

        Raises:
            GeneratorFailed: The wrapped generator failed.
            SynthError: The wrapped generator refuses the request.
        """
        try:
            made = answer_of(self.generator_id, lambda: self.inner.make(request))
        except GeneratorFailed as error:
            self._n_failed += 1
            self._last = str(error)
            raise
        self._n_failed = 0
        return made
