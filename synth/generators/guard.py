"""A generator that is not asked any more once it has failed many times in a row."""

from __future__ import annotations

import functools
from typing import Any, Final

from ...data.errors import GeneratorFailed
from .answers import answer_of
from .presets import Preset
from .protocol import Generator, ImageRequest, Rgb

MAX_FAILURES_IN_A_ROW: Final = 20
"""A service that is down must not cost its timeout for each of thousands of pictures."""


class GuardedGenerator:
    """Another generator; refuses every further request after `MAX_FAILURES_IN_A_ROW` failures.

    Requests that a generator refuses because they cannot be made do not count.
    """

    def __init__(self, inner: Generator) -> None:
        self.inner = inner
        self._n_failed = 0
        self._last = ""

    @property
    def generator_id(self) -> str:
        """Id of the generator behind it."""
        return self.inner.generator_id

    @property
    def license_flags(self) -> tuple[str, ...]:
        """Licence flags of the generator behind it."""
        return self.inner.license_flags

    @property
    def preset(self) -> Preset | None:
        """Preset of the generator behind it, where it has one."""
        return getattr(self.inner, "preset", None)

    @property
    def lora(self) -> str | None:
        """Adapters of the generator behind it, where it has any."""
        return getattr(self.inner, "lora", None)

    @functools.cached_property
    def contents(self) -> Any:
        """What decides pictures of the generator behind it beside its id, looked at once."""
        return getattr(self.inner, "contents", None)

    def check(self, request: ImageRequest) -> None:
        """Refuse what the generator refuses, and everything once it has failed too often.

        Raises:
            SynthError: As the generator behind it raises.
        """
        if self._n_failed >= MAX_FAILURES_IN_A_ROW:
            raise GeneratorFailed(
                f"not tried: {self.generator_id} failed {self._n_failed} times in a row "
                f"({self._last}); mend it and run again"
            )
        self.inner.check(request)

    def make(self, request: ImageRequest) -> Rgb:
        """Return the picture of the generator behind it, and keep count of failures.

        Raises:
            SynthError: As the generator behind it raises.
        """
        try:
            made = answer_of(self.generator_id, lambda: self.inner.make(request))
        except GeneratorFailed as error:
            self._n_failed += 1
            self._last = str(error)
            raise
        self._n_failed = 0
        return made
