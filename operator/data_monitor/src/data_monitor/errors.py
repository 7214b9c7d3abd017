"""Errors that end a command with a message and without a traceback."""


class InputError(Exception):
    """A file or an option that the user can mend; the command ends with exit code 2."""
