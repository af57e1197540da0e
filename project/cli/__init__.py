"""The command line: main and its exit codes, options, checks before a run, error lines."""
