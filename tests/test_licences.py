"""Nothing in the default install is under a licence that a moderation team may not use."""

import importlib.metadata
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FORBIDDEN = re.compile(
    r"\b(AGPL|GPL|GNU General Public|GNU Affero|Business Source|BUSL|NonCommercial|CC-BY-NC)", re.I
)
# Offered under a choice of licences, of which we take the one that is not the GPL.
DUAL = {"text-unidecode": "Artistic License"}


def default_install():
    """Distributions that `pip install assay` brings on this machine, by name."""
    found, waiting = {}, ["assay"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        found[name] = distribution
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def licence_of(distribution):
    """Return the licence in the metadata: the SPDX expression, else classifiers, else the field."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    return "; ".join(classifiers) or (metadata.get("License") or "")[:200]


def test_no_default_dependency_is_under_a_forbidden_licence():
    """GPL, AGPL, BSL and non-commercial terms stay out; the LGPL and dual licences are seen."""
    installed = default_install()
    assert {"torch", "prefect", "polars", "transformers"} <= set(installed)
    bad = {
        name: licence
        for name, distribution in installed.items()
        if FORBIDDEN.search(licence := licence_of(distribution))
        and DUAL.get(name, "nothing else") not in licence
    }
    assert bad == {}
