"""A progress bar for tests that stop a run at a chosen item."""

from assay.flows import progress


class StopAt(progress.Silent):
    """Does something when the n-th item is done."""

    def __init__(self, n_items, action):
        self.left = n_items
        self.action = action

    def advance(self, n):
        """Count down."""
        self.left -= n
        if self.left == 0:
            self.action()
