"""Tokenizers made in a second, for tests."""

import io
import random
from functools import cache

from lumosx_core.tokenizers import SentencePieceTokenizer

PIECES = (
    "man woman hat red box dress in a and \u4e00\u4e2a \u7537\u4eba \u5973\u4eba \u5e3d\u5b50 \u7ea2\u5e3d\u5b50 "
    "\u4e00\u4e2a\u7537\u4eba \u6234\u7740 \u5b50 \u0e2b\u0e21\u0e27\u0e01 \u0e01\u0e34 \u5e3d\u5b50\u3092 "
    "\u30c9\u30ec\u30b9 \uc5ec\uc790 \uc5ec\uc790\uac00"
)


@cache
def tokenizer_of_many_languages() -> SentencePieceTokenizer:
    """A SentencePiece model with whole words of several scripts, and bytes for all that it lacks."""
    import sentencepiece

    rng = random.Random(1)
    words = PIECES.split()
    lines = ["".join(rng.choice(words[9:]) for _ in range(6)) for _ in range(200)]
    lines += [" ".join(rng.choice(words) for _ in range(6)) for _ in range(400)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=420,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
    )
    return SentencePieceTokenizer(model.getvalue())
