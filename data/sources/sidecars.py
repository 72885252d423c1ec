"""Sidecars of images, matched by name alone, in folders and archives."""

from __future__ import annotations

from collections.abc import Iterable

from .labelling import sidecar_stem, stems_of_image


class Sidecars:
    """Sidecars among the files of a container.

    "a/001.json" and "a/001.JPG.json" belong to "a/001.JPG", anywhere in the container's order;
    suffixes match in any case. Memory: the names of files with a sidecar's suffix.

    Args:
        names: Paths of all files, with slashes as separators.
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
        """Return whether a file is the sidecar of an image in the container."""
        return name in self._owned

    def of(self, image: str) -> tuple[dict[str, str], str | None]:
        """Return the nearest sidecar of an image per suffix, and a note.

        Sidecars whose names differ by case only are left out and named in the note.
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
