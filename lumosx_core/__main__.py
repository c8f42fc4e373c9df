"""`python -m lumosx_core` is the same as `lumosx`."""

from lumosx_core.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
