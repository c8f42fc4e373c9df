"""LumosX: videos of several people, each bound to its own attributes.

Importing this package does nothing: no torch, no device probe, no download. Import the module you need.
"""

__version__ = "0.1.0"
