"""Who has what, as the caption says it."""

from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.stage import ClipWork


def read_caption(work: ClipWork) -> Reading:
    """Mentions and phrases of the caption, by the reader of the configuration."""
    return read_rules(work.records["caption"].text)
