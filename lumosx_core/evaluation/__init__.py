"""Measuring models: the puppet benchmark and its statistics."""
