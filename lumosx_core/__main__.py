"""`python -m lumosx_core` is the same as `lumosx`; so is `python <folder of the pack>/lumosx_core`, for Pythons that look for
packages nowhere else, such as the embedded one of ComfyUI's portable build."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:
        sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its files are no modules
    from lumosx_core.cli.main import main

    raise SystemExit(main())
