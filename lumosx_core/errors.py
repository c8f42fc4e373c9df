"""The one error type that means "the input is wrong", as against "the program is wrong"."""


class InputError(ValueError):
    """A mistake in what the user gave.

    The message names what was got, what was expected and what to do. The command line prints it without a traceback
    and exits with status 2; the ComfyUI nodes show it in the node.
    """
