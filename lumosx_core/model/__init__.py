"""The LumosX transformer and what it stands on: layout, rotary positions, relational attention, checkpoints, VAE, text."""
