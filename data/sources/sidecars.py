"""Which files beside images are their sidecars, by names alone: in folders and archives alike."""

from __future__ import annotations

from collections.abc import Iterable

from .labelling import sidecar_stem, stems_of_image


class Sidecars:
    """The sidecars among the files of a container.

    "a/001.json" and "a/001.JPG.json" belong to "a/001.JPG", wherever in the container they
    come; suffixes count in any case. Memory: the names of files with a sidecar's suffix.

    Args:
        names: Paths of all files, their parts separated by slashes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        by_stem: dict[str, list[str]] = {}
        images: list[str] = []
        for name in names:
            if (stem := sidecar_stem(name)) is not None:
                by_stem.setdefault(stem, []).append(name)
            else:
                images.append(name)
        self._by_stem = by_stem
        self._owned: set[str] = set()
        if by_stem:
            for name in images:
                for stem in _stems(name):
                    self._owned.update(by_stem.get(stem, ()))

    def __contains__(self, name: str) -> bool:
        """Whether a file is the sidecar of an image of the container."""
        return name in self._owned

    def of(self, image: str) -> tuple[dict[str, str], str | None]:
        """Return the sidecars of an image by suffix, the nearest name of each, and a note.

        Those that differ by case only are left out, which the note says.
        """
        if not self._owned:
            return {}, None
        found: dict[str, str] = {}
        note = None
        for stem in reversed(_stems(image)):
            nearest: dict[str, list[str]] = {}
            for name in self._by_stem.get(stem, ()):
                nearest.setdefault(name[len(stem) :].lower(), []).append(name)
            for suffix, names in nearest.items():
                if len(names) == 1:
                    found[suffix] = names[0]
                    continue
                found.pop(suffix, None)
                shown = ", ".join(name.rpartition("/")[2] for name in sorted(names))
                note = f"sidecars that differ by case only: {shown}"
        return found, note


def _stems(path: str) -> list[str]:
    folder, slash, name = path.rpartition("/")
    return [folder + slash + stem for stem in stems_of_image(name)]
