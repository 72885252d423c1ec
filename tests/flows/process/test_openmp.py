"""Several processes share the cores: threads that wait go to sleep."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "3000 None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None ACTIVE"),
    ],
)
def test_importing_assay_says_so_before_pytorch_loads_unless_the_user_has(said, told):
    """OpenMP reads its environment once, when PyTorch brings it in."""
    program = (
        "import os, sys, assay; "
        "print(*(os.environ.get(n) for n in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')), "
        "'torch' in sys.modules)"
    )
    names = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={name: value for name, value in os.environ.items() if name not in names} | said,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{told} False"
