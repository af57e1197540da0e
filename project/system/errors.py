"""The kinds of error that are the user's to mend."""


class UserError(ValueError):
    """A mistake that the user can mend: the command line prints it as one `error:` line and exits with 2."""


class NotFiniteError(UserError):
    """A loss or a weight is no longer finite, mostly at too high a rate."""
