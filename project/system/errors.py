"""Errors that the user can correct."""


class UserError(ValueError):
    """A mistake that the user can correct. The command line prints it as one `error:` line and exits with code 2."""


class NotFiniteError(UserError):
    """A loss or a weight is no longer finite. The usual cause is a learning rate that is too high."""
