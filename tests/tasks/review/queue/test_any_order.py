"""Any order of takes, answers, withdrawals, folds and waits gives the same standing answers."""

from __future__ import annotations

import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from reviewing import AT, answer, images_lake

from assay.tasks.review.answer import withdrawal
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.journal import Journal
from assay.tasks.review.queue import next_items


class Reviewing(RuleBasedStateMachine):
    """Reviewers who take, answer, take back, wait and settle in any order."""

    names = st.sampled_from(["ann", "bob", "eve"])

    @initialize()
    def open_lake(self):
        """Begin with two writers."""
        self.folder = tempfile.TemporaryDirectory()
        self.lake = images_lake(f"{self.folder.name}/lake", 6)
        self.clock = [4e9]
        self.journals = [Journal(self.lake, now=lambda: self.clock[0]) for _ in range(2)]
        self.held = {}
        self.standing = {}
        self.n_answers = 0

    @rule(name=names, n=st.integers(1, 3), which=st.integers(0, 1))
    def take(self, name, n, which):
        """Take images; none is leased or answered."""
        for item in next_items(self.lake, self.journals[which], reviewer=name, n=n, lease_s=60):
            assert item.image_id not in self.held, "leased twice"
            assert not self.standing.get(item.image_id), "answered already"
            self.held[item.image_id] = (name, self.clock[0] + 60)

    @rule(data=st.data(), label=st.sampled_from(["real", "fake"]), which=st.integers(0, 1))
    def give(self, data, label, which):
        """Answer a leased image."""
        if self.held:
            image_id = data.draw(st.sampled_from(sorted(self.held)))
            name, _ = self.held.pop(image_id)
            self.n_answers += 1
            at = AT.replace(microsecond=self.n_answers)
            made = answer(image_id, label, name, reviewed_at=at)
            self.journals[which].record([made])
            self.standing.setdefault(image_id, {}).setdefault(name, []).append(made)

    @rule(data=st.data(), which=st.integers(0, 1))
    def take_back(self, data, which):
        """Take back an answer."""
        known = [
            (image_id, name, made)
            for image_id, by in sorted(self.standing.items())
            for name, all_made in by.items()
            for made in all_made
        ]
        if known:
            image_id, name, made = data.draw(st.sampled_from(known))
            self.journals[which].record([withdrawal(made.as_row(), origin="page")])
            self.standing[image_id][name].remove(made)
            if not self.standing[image_id][name]:
                del self.standing[image_id][name]

    @rule(which=st.integers(0, 1))
    def settle(self, which):
        """Move answers into the table."""
        self.journals[which].fold()

    @rule()
    def wait(self):
        """Let the leases end."""
        self.clock[0] += 61
        self.held.clear()

    @invariant()
    def answers_that_count_are_the_latest_that_stand(self):
        """Compare the lake with the model."""
        if hasattr(self, "lake"):
            rows = standing_answers(self.lake).select("image_id", "reviewer", "label").collect()
            assert sorted(rows.iter_rows()) == sorted(
                (image_id, name, max(all_made, key=lambda made: made.reviewed_at).label)
                for image_id, by in self.standing.items()
                for name, all_made in by.items()
            )

    def teardown(self):
        """Close the writers."""
        for journal in getattr(self, "journals", ()):
            journal.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestReviewing = Reviewing.TestCase
TestReviewing.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
