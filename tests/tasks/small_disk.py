"""A file system of a few megabytes that belongs to one process of a test."""

import contextlib
import ctypes
import os
import subprocess

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000  # of Linux


def mounted(disk):
    """Mount a file system of this process alone, which vanishes with it; return whether."""
    try:
        if ctypes.CDLL(None).unshare(CLONE_NEWNS | (0 if os.geteuid() == 0 else CLONE_NEWUSER)):
            return False
        for words in (
            ("--make-rprivate", "/"),
            ("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)),
        ):
            subprocess.run(["mount", *words], check=True, capture_output=True)
    except (AttributeError, OSError, subprocess.CalledProcessError):
        return False
    return True


def fill(disk):
    """Write to a file until the file system has no space."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))
