"""Sampling: schedule, solvers, guidance, and `generate` = prepare -> denoise -> decode -> write."""
