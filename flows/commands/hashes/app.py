"""The verbs of `assay hashes`."""

from __future__ import annotations

from cyclopts import App

from .export import export
from .import_ import import_
from .list_ import list_

hashes = App(name="hashes", help="Import, export and list hashes of known images.")
hashes.command(import_, name="import")
hashes.command(export)
hashes.command(list_, name="list")
