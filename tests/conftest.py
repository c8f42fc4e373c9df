"""Tests run offline, and with the threads that a small machine has."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
