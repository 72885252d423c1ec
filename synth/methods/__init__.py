"""The synthesis methods: how one image of one job is made."""
