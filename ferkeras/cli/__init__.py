"""The commands, one module each: `SUMMARY`, `add_arguments(parser)` and `run(args)`."""
