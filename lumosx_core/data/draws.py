"""How people come in a draw, as the published model was trained (docs/method.md, 9); datasets and prepared clips alike."""

GROUPED = 0.7  # share of draws in which people are grouped
MOST_ATTRIBUTES = 3  # of a person in one draw


def comes_whole(*, grouped: bool, bodies: bool) -> bool:
    """Whether a person comes as one picture of the whole, which belongs to nobody, like an object; else as a face with its
    attributes, a group. grouped: what was drawn for the clip. bodies: whether there are pictures of the whole person at all."""
    return not grouped and bodies
