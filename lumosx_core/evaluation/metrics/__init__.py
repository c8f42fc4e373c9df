"""One file for each metric: what it sees in a finished video. A metric reads what was generated, and never generates."""
