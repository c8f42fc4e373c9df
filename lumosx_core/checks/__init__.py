"""Checks of an installation: the published numbers, and the speed of relational attention."""
