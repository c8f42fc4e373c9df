"""Measuring models: the puppet benchmark and the check against golden numbers."""
