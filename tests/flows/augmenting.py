"""What children of a test do with a plan: killed at a commit, or on a full disk.

They import this file alone, and neither the tests nor the libraries that make generators.
"""

import itertools
import os
import resource
import signal

from tiny_models import MINI_ON_TORCH

from assay.data.store.lake import Lake
from assay.flows.augmentation.run import augment
from assay.flows.cli import main
from assay.flows.request import Request
from assay.synth.plan.plan_file import plan_of_dict

KILLED = [{"method": "launder", "condition": ["jpeg-50", "webp-50"]}]


def killed_at(base, lake, method, at):
    """Augments, killed at the n-th call of a method of the lake."""
    real, calls = getattr(Lake, method), itertools.count(1)

    def counted(self, *args, **kwargs):
        result = real(self, *args, **kwargs)
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(Lake, method, counted)
    augment(Request(lake=lake, **MINI_ON_TORCH), plan_of_dict({"make": KILLED}, folder=base))


def on_a_full_disk(base, lake, n_bytes):
    """Augments where no file may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    told = ["--lake", lake, "--detector", "mini", "--backend", "torch", "--quiet"]
    main(["synth", "augment", str(base / "full.toml"), *told])
