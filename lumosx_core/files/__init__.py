"""Files in and out: whole or not at all, and one reader for every format."""
