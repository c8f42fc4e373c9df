"""The one error type that means "the input is wrong", as against "the program is wrong"."""


class InputError(ValueError):
    """A mistake in what the user gave.

    The message names what was got, what was expected and what to do. The command line prints it without a traceback
    and exits with status 2; the ComfyUI nodes show it in the node.
    """


def quoted(text: str, longest: int = 60) -> str:
    """A text in quotes for a message, cut off behind `longest` characters: a reason must not drown in what was given."""
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}..."
