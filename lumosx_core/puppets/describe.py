"""Captions of what the puppet analyser sees in pictures, for videos that nobody wrote a caption for."""

from collections.abc import Sequence

from PIL import Image

from lumosx_core.puppets.analyser import PuppetAnalyser, Scene, SeenPuppet
from lumosx_core.puppets.captions import article, listing

SIDES = {1: ("",), 2: ("on the left", "on the right"), 3: ("on the left", "in the middle", "on the right")}
SURE = 0.3  # of things that are told


class PuppetCaptioner:
    """Writes "A person on the left wearing a red hat and a person on the right wearing a blue striped shirt." """

    def __init__(self, analyser: PuppetAnalyser | None = None) -> None:
        self.analyser = analyser or PuppetAnalyser()

    def describe(self, pictures: Sequence[Image.Image]) -> str:
        """The caption of the picture that shows most people, of several the middle one; empty where nobody is seen."""
        scenes = [self.analyser.look(picture) for picture in pictures]
        middle = len(scenes) // 2
        order = sorted(range(len(scenes)), key=lambda n: (-len(scenes[n].people), abs(n - middle)))
        return _sentence(scenes[order[0]]) if order and scenes[order[0]].people else ""


def _sentence(scene: Scene) -> str:
    sides = SIDES.get(len(scene.people), ("",) * len(scene.people))
    clauses = [_clause(person, side) for person, side in zip(scene.people, sides, strict=True)]
    things = [article(f"{thing.adjectives} {thing.kind}") for thing in scene.objects if thing.score >= SURE]
    text = listing(clauses) + (f" near {listing(things)}" if things else "")
    return text[0].upper() + text[1:] + "."


def _clause(person: SeenPuppet, side: str) -> str:
    worn = [article(f"{thing.adjectives} {kind}") for kind, thing in person.things.items() if thing.score >= SURE]
    return " ".join(part for part in ("a person", side, f"wearing {listing(worn)}" if worn else "") if part)
