"""Synthesis of images: methods, generators, attacks. Detectors are arguments, never imported."""
