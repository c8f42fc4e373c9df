"""Training: one loop for the relational transformer, over latents; the loss is handed in."""
