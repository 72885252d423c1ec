"""Adversarial attacks on a detector, in pixels and in latents."""
