"""Generators: the protocol, the Stable Diffusion 3.5 family, memory plans, adapters."""
