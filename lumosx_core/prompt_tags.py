"""Tags in a prompt: `@anna`, `@anna.hat`, `@room` stand for the phrase of exactly one owner.

- `@anna` is the subject, object or background with that tag; `@1`, `@2` are the subjects in order, always; an object or
  the background without a tag goes by its phrase, in lower case and with `_` between words (`@red_ball`), where nothing
  else has that name.
- `@anna.hat` is that subject's attribute with the tag "hat", or else the one whose phrase is "hat" or ends in the word.
- A tag ends where a word may end (`word_borders.py`): `@annas` is not `@anna`. Where scripts without spaces go on behind it
  or belong to it, the longest known name counts ("@anna" before Chinese letters).
- `@@` is a plain @; an @ inside a word (`a@b.com`) or before anything but a letter or digit is left alone. Case does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lumosx_core.owners import OwnedPhrase
from lumosx_core.references import LONGEST_PHRASE
from lumosx_core.word_borders import Signs, is_spaced


@dataclass(frozen=True, kw_only=True)
class TaggedPrompt:
    """A prompt with its tags replaced. `places`: index of the owned phrase -> its character ranges in `text`."""

    text: str
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def replace_tags(prompt: str, phrases: Sequence[OwnedPhrase]) -> TaggedPrompt:
    """Puts the phrases where the tags are; a tag that names nobody, or two, is left as text and told in `unknown`."""
    reader = _TagReader(prompt, phrases)
    parts: list[str] = []
    length, last = 0, 0
    places: dict[int, list[tuple[int, int]]] = {}
    unknown: list[str] = []
    at = prompt.find("@")
    while at >= 0:
        end, found = reader.read(at)
        if isinstance(found, int):
            text = phrases[found].phrase
            before = length + at - last
            places.setdefault(found, []).append((before, before + len(text)))
        else:
            text = "@" if prompt[at:end] == "@@" else prompt[at:end]
            unknown += [f"{text} {found}"] if found else []
        parts += [prompt[last:at], text]
        length += at - last + len(text)
        last = end
        at = prompt.find("@", end)
    return TaggedPrompt(text="".join([*parts, prompt[last:]]), places=places, unknown=tuple(unknown))


class _TagReader:
    """Reads the tags of one prompt."""

    def __init__(self, prompt: str, phrases: Sequence[OwnedPhrase]) -> None:
        self.prompt, self.phrases = prompt, phrases
        self.owners = _owners(phrases)
        signs = Signs(prompt)
        self.borders = signs.borders
        self.run_end = dict(signs.runs())
        self.start_of_sign = [0] * (len(prompt) + 1)
        for start, end in zip(signs.starts, signs.starts[1:], strict=False):
            self.start_of_sign[start:end] = [start] * (end - start)

    def read(self, at: int) -> tuple[int, int | str]:
        """What begins with the @ at a place: where it ends, and the index of the phrase, or what is wrong, or "" for text."""
        if self.prompt.startswith("@@", at):
            return at + 2, ""
        inside_word = at > 0 and is_spaced(self.prompt[self.start_of_sign[at - 1]])
        if inside_word or at + 1 not in self.run_end:
            return at + 1, ""
        for end in self.ends(at + 1):
            index = self.owners.get(self.prompt[at + 1 : end].casefold())
            if index is not None:
                return self.read_part(index, end)
        return self.run_end[at + 1], "names nobody"

    def read_part(self, index: int, end: int) -> tuple[int, int | str]:
        """What follows a known name: the attribute behind a dot, or nothing."""
        if self.prompt[end : end + 1] == "." and end + 1 in self.run_end:
            wrong = f"names no attribute of {self.phrases[index].owner}"
            for part_end in self.ends(end + 1):
                found = _attributes(self.prompt[end + 1 : part_end].casefold(), index, self.phrases)
                if len(found) == 1:
                    return part_end, found[0]
                if found:
                    wrong = f"could be {' or '.join(repr(self.phrases[other].phrase) for other in found)}"
                    break
            return self.run_end[end + 1], wrong
        return end, index if self.phrases[index].phrase else "is a subject without a name"

    def ends(self, start: int) -> list[int]:
        """Where a name that begins at a place may end, the longest first."""
        last = min(self.run_end[start], start + 2 * LONGEST_PHRASE)
        return [end for end in range(last, start, -1) if self.borders[end]]


def known_tags(phrases: Sequence[OwnedPhrase]) -> list[str]:
    """Every tag that a prompt may use, for messages."""
    tags = {f"@{name}": index for name, index in _owners(phrases).items()}
    for name, index in list(tags.items()):
        for part in phrases:
            if phrases[index].kind == "face" and part.kind == "attribute" and part.owner == phrases[index].owner:
                tags[f"{name}.{part.tag or slug(part.phrase)}"] = index
    return sorted(tags)


def tags_of(phrases: Sequence[OwnedPhrase]) -> list[str]:
    """The tag of every phrase, in their order, with its @; "" for one that no tag names: a name that is empty, or words that
    several of one owner share."""
    names: dict[int, str] = {}
    for name, index in _owners(phrases).items():
        if phrases[index].phrase:
            names[index] = f"@{phrases[index].tag or name}"
    people = {phrase.owner: index for index, phrase in enumerate(phrases) if phrase.kind == "face"}
    for index, phrase in enumerate(phrases):
        if phrase.kind == "attribute":
            part, person = phrase.tag or slug(phrase.phrase), people[phrase.owner]
            owner = phrases[person].tag or str((phrase.subject or 0) + 1)
            if part and _attributes(part.casefold(), person, phrases) == [index]:
                names[index] = f"@{owner}.{part}"
    return [names.get(index, "") for index in range(len(phrases))]


def slug(phrase: str) -> str:
    """ "Red ball" -> "red_ball"."""
    return "_".join(phrase[start:end] for start, end in Signs(phrase).runs()).casefold()


def _owners(phrases: Sequence[OwnedPhrase]) -> dict[str, int]:
    """Tag -> index of a subject's name, an object or the background."""
    owners: dict[str, int] = {}
    scene: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        if phrase.kind == "attribute":
            continue
        if phrase.subject is None and not phrase.tag:
            scene.setdefault(slug(phrase.phrase), []).append(index)
        if phrase.subject is not None:
            owners[str(phrase.subject + 1)] = index
        if phrase.tag:
            owners[phrase.tag.casefold()] = index
    alone = {name: indices[0] for name, indices in scene.items() if len(indices) == 1 and name}
    return {**alone, **owners}


def _attributes(part: str, index: int, phrases: Sequence[OwnedPhrase]) -> list[int]:
    """The attributes that `.part` may mean behind the name of their subject."""
    own = [other for other, phrase in enumerate(phrases) if phrase.kind == "attribute" and phrase.owner == phrases[index].owner]
    by_tag = [other for other in own if (phrases[other].tag or "").casefold() == part]
    by_phrase = [other for other in own if slug(phrases[other].phrase) == part]
    return by_tag or by_phrase or [other for other in own if _ends_in(slug(phrases[other].phrase), part)]


def _ends_in(name: str, part: str) -> bool:
    """Whether a slug ends in a word: behind "_", or at any sign of a script without spaces."""
    before = len(name) - len(part)
    return name.endswith(part) and before > 0 and (name[before - 1] == "_" or Signs(name).borders[before])
