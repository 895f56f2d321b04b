"""Errors that the command line tells in one line."""

BAD_INPUT = 2  # exit code
TOLD = "thawline_told"  # attribute of an error whose line was printed


class UserError(ValueError):
    """Bad input, told in one line: the key, the value given, the values allowed, the next step.

    The command line prints it without a traceback and exits with code 2.
    """


class JobsFailed(RuntimeError):
    """A sweep ended, and some of its jobs did not complete; the command line prints it and exits with code 1."""
