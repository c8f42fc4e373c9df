"""One file for each metric: a function `score(video, sample) -> dict` that reads what was generated, and never generates."""
