"""The puppet world: a procedural renderer of small pixel-art characters, with exact ground truth and a pixel scorer."""
