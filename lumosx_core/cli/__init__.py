"""The command line: `lumosx <command>`. One file per command, each with `add_arguments` and `run`."""
