"""`python -m lumosx_core` is the same as `lumosx`."""

from lumosx_core.cli.main import main

raise SystemExit(main())
