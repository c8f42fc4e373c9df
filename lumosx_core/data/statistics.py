"""What is in a dataset, counted."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lumosx_core.data.pack import read_dropped, read_manifest
from lumosx_core.data.relations.colours import colour_word

MOST_NAMED = 12


def statistics(folder: Path) -> dict[str, Any]:
    """Counts of samples, splits, people and attributes per clip, kinds of words, sources, licences, sizes, and reasons of what
    was dropped. Raises InputError if there is no dataset."""
    rows = read_manifest(folder)
    dropped = read_dropped(folder)
    phrases = [relation["phrase"] for row in rows for relation in row["relations"]]
    return {
        "samples": len(rows),
        "seconds": float(np.sum([row["frames"] / row["fps"] for row in rows])),
        "splits": dict(Counter(row["split"] for row in rows)),
        "people": dict(sorted(Counter(row["people"] for row in rows).items())),
        "attributes": dict(sorted(Counter(row["attributes"] for row in rows).items())),
        "objects": int(sum(row["objects"] for row in rows)),
        "backgrounds": int(sum(row["background"] for row in rows)),
        "names": dict(Counter(name for row in rows for name in row["mentions"]).most_common(MOST_NAMED)),
        "things": dict(Counter(phrase.split()[-1] for phrase in phrases).most_common(MOST_NAMED)),
        "colours": dict(Counter(colour_word(phrase) or "none" for phrase in phrases).most_common(MOST_NAMED)),
        "sizes": dict(Counter(f"{row['width']}x{row['height']}" for row in rows).most_common(MOST_NAMED)),
        "sources": len({row["source"] for row in rows}),
        "licences": dict(Counter(row["licence"] or "unknown" for row in rows).most_common(MOST_NAMED)),
        "dropped": dict(Counter(row["reason"] for row in dropped).most_common()),
    }


def statistics_text(folder: Path) -> str:
    """The counts in lines."""
    lines = []
    for name, value in statistics(folder).items():
        told = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else f"{value:g}"
        lines.append(f"{name:<12} {told or 'none'}")
    return "\n".join(lines)
