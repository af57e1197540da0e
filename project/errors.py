"""The one kind of error that is the user's to mend."""


class UserError(ValueError):
    """A mistake that the user can mend: the command line prints it as one `error:` line and exits with 2."""
