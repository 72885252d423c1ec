"""Training of LoRA adapters and of latent autoencoders."""
