"""Processes for tests that kill: forked from one that has the imports done."""

import multiprocessing

# What takes seconds in each child is not what is tested.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["assay.flows.run", "assay.tasks.detector.backends.network", "torch"]
)
