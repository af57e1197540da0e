"""Many runs of one experiment: Optuna chooses the options, and any number of workers train."""
