"""Inputs that a newcomer need not see: the page folds them away behind "Show advanced inputs"."""

ADVANCED = {"advanced": True}  # as extra_dict: hosts whose inputs have no such argument hand it on to the page all the same
