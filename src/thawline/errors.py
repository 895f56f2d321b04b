"""The one exception that means: the user can fix this."""

TOLD = "thawline_told"  # attribute of an error whose line was printed


class UserError(ValueError):
    """Bad input, told in one line: the key, the value given, the values allowed, the next step.

    The command line prints it without a traceback and exits with code 2.
    """
