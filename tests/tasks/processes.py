"""Processes for tests that kill: forked from one that has the imports done."""

import multiprocessing

# What takes seconds in each child is not what is tested. pandas is loaded by pyarrow, where it
# is installed, with the first table that is made of rows.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "assay.flows.cli",
        "assay.flows.run",
        "assay.flows.augmentation.run",
        "assay.flows.commands.moderate",
        "assay.flows.commands.ingest",
        "assay.tasks.detector.backends.pytorch",
        "assay.tasks.detector.backends.vit",
        "scipy.fftpack",
        "pandas",
    ]
)
