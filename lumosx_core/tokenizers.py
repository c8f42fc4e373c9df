"""Text to token ids with character ranges: SentencePiece and Hugging Face tokenizers behind one protocol."""

import html
import re
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from lumosx_core.errors import InputError


class Tokenizer(Protocol):
    """Text to token ids: no end token, no padding."""

    def encode(self, text: str) -> list[int]:
        """The ids of `clean_text(text)`."""
        ...

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        """The same ids as (id, start, end), with the character range in `clean_text(text)`."""
        ...


_ENTITY_CHAIN = re.compile(r"&(?:(?:amp|AMP|#0*38|#[xX]0*26);?){8,}")
_MOST_CLEANINGS = 10


def clean_text(text: str) -> str:
    """The text cleaning of the Wan text encoder: mojibake and HTML entities repaired, white space collapsed."""
    import ftfy

    text = _ENTITY_CHAIN.sub("&", text)  # "&amp;amp;amp;...", which takes ftfy time in the square of its length
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", text).strip()


@lru_cache(maxsize=256)
def settled_text(text: str) -> str:
    """`clean_text` until nothing changes, so that the tokenizer's own cleaning moves no character."""
    for _ in range(_MOST_CLEANINGS):
        cleaned = clean_text(text)
        if cleaned == text:
            return text
        text = cleaned
    raise InputError(
        f"HTML entities stand inside HTML entities without end ({text[:80]!r}...); write the characters themselves"
    )


class SentencePieceTokenizer:
    """A SentencePiece model (`spiece.model`, a folder that holds it, or the bytes of one), as UMT5 and the nano model use
    it."""

    def __init__(self, model: str | Path | bytes) -> None:
        import sentencepiece

        try:
            content = model if isinstance(model, bytes) else _spiece_file(model).read_bytes()
            self.processor = sentencepiece.SentencePieceProcessor()
            self.processor.LoadFromSerializedProto(content)
        except (OSError, RuntimeError) as error:
            name = "given as bytes" if isinstance(model, bytes) else _spiece_file(model)
            raise InputError(f"cannot read the SentencePiece model {name} ({error}); give a spiece.model") from error

    def encode(self, text: str) -> list[int]:
        """Ids of the cleaned text, without end token."""
        return list(self.processor.encode(clean_text(text)))

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        """(id, start, end) with character ranges of the cleaned text."""
        text = clean_text(text)
        if hasattr(self.processor, "EncodeAsOffsetMapping"):  # sentencepiece >= 0.2.2, which has no immutable_proto
            found = self.processor.EncodeAsOffsetMapping(text)
            return [(token, *place) for token, place in zip(found["ids"], found["offsets"], strict=True)]
        encoded = self.processor.encode(text, out_type="proto")
        return [(piece.id, piece.begin, piece.end) for piece in encoded.pieces]


def _spiece_file(path: str | Path) -> Path:
    return Path(path) / "spiece.model" if Path(path).is_dir() else Path(path)


class HuggingFaceTokenizer:
    """A `tokenizer.json` (or a folder that holds it), read by the `tokenizers` library; cleans text as Wan does."""

    def __init__(self, path: str | Path) -> None:
        import tokenizers

        path = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
        try:
            self.tokenizer = tokenizers.Tokenizer.from_buffer(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the tokenizer {path} ({error}); give a tokenizer.json") from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, text: str) -> list[int]:
        """Ids of the cleaned text, without end token."""
        return list(self.tokenizer.encode(clean_text(text), add_special_tokens=False).ids)

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        """(id, start, end) with character ranges of the cleaned text."""
        found = self.tokenizer.encode(clean_text(text), add_special_tokens=False)
        return [(token, start, end) for token, (start, end) in zip(found.ids, found.offsets, strict=True)]


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a `spiece.model` / `*.model` file, a `tokenizer.json`, or a folder that holds one of them."""
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in ("spiece.model", "tokenizer.json") if (path / name).exists()]
        if not found:
            raise InputError(f"the tokenizer folder {path} holds neither spiece.model nor tokenizer.json")
        path = found[0]
    return HuggingFaceTokenizer(path) if path.suffix == ".json" else SentencePieceTokenizer(path)


def vocabulary_size(tokenizer: Tokenizer) -> int | None:
    """How many tokens a tokenizer knows, or None where it does not say."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return int(tokenizer.processor.get_piece_size())
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return int(tokenizer.tokenizer.get_vocab_size(with_added_tokens=True))
    return None
