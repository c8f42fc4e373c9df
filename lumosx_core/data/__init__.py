"""Training data: shards of latents, and the batches that are drawn from them."""
