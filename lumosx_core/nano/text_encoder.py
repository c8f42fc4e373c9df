"""Fourth step of the nano recipe: a SentencePiece vocabulary and a small UMT5 encoder for the captions of the puppet world.

The encoder is transformers' UMT5EncoderModel. It learns to *understand* captions before the video model exists: from the
state of every token four linear heads must tell whose words these are (which person, or nobody's), what that person does,
where the scene is and how the camera moves. The heads are thrown away; the encoder is frozen from then on.

Shapes: B = batch, L = tokens, D = width of the encoder.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from torch.nn import Linear
from transformers import UMT5Config, UMT5EncoderModel

from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.motion import ACTIONS, PANS
from lumosx_core.puppets.scenes import SCENES
from lumosx_core.training.guards import StepGuard, check_finite

PAD, END, UNKNOWN = 0, 1, 2  # as in UMT5
NOBODY = 3  # owner label of words that belong to no person; people are 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """Sizes and schedule of the nano text encoder."""

    vocabulary: int = 400
    dim: int = 96
    layers: int = 2
    heads: int = 4
    ffn_dim: int = 256
    captions: int = 20000
    steps: int = 900
    batch: int = 48
    learning_rate: float = 2e-3
    seed: int = 0


def sample_captions(count: int, seed: int) -> list[ClipSpec]:
    """Random clips of every structure (1-3 people, 0-3 attributes, 0-1 objects); only their captions are of interest."""
    rng = np.random.default_rng((seed, 77))
    return [
        sample_clip(rng, people=int(rng.integers(1, 4)), attributes=int(rng.integers(0, 4)), objects=int(rng.integers(0, 2)))
        for _ in range(count)
    ]


def train_tokenizer(captions: list[str], vocabulary: int) -> bytes:
    """A SentencePiece BPE model with the special ids of UMT5 (pad 0, end 1, unknown 2), as bytes of `spiece.model`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions),
        model_writer=model,
        vocab_size=vocabulary,
        model_type="bpe",  # unigram keeps only pieces that occur in many contexts and would cut these few words into letters
        character_coverage=1.0,
        pad_id=PAD,
        eos_id=END,
        unk_id=UNKNOWN,
        bos_id=-1,
        normalization_rule_name="identity",
        required_chars="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-",
        minloglevel=2,
    )
    return model.getvalue()


def build_encoder(recipe: TextRecipe, vocabulary: int) -> UMT5EncoderModel:
    """An untrained UMT5 encoder of the recipe's size."""
    torch.manual_seed(recipe.seed)
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=recipe.dim,
        d_kv=recipe.dim // recipe.heads,
        d_ff=recipe.ffn_dim,
        num_layers=recipe.layers,
        num_heads=recipe.heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=PAD,
        eos_token_id=END,
    )
    return UMT5EncoderModel(config)


def token_labels(clip: ClipSpec, begins: list[int]) -> np.ndarray:
    """int64 [L, 4]: owner, action of the owner (len(ACTIONS) for nobody), scene, pan of the token at each start character."""
    ranges, at = [], 0
    text = clip.caption.text.lower()
    for clause in clip.caption.clauses:
        start = text.index(clause.lower(), at)
        at = start + len(clause)
        ranges.append((start, at))
    labels = np.empty((len(begins), 4), np.int64)
    labels[:, 2:] = SCENES.index(clip.scene), PANS.index(clip.pan)
    for row, begin in enumerate(begins):
        owner = next((n for n, (start, stop) in enumerate(ranges) if start <= begin < stop), NOBODY)
        action = len(ACTIONS) if owner == NOBODY else ACTIONS.index(clip.placements[owner].action)
        labels[row, :2] = owner, action
    return labels


def train_text_encoder(recipe: TextRecipe, log: Callable[[str], None]) -> tuple[UMT5EncoderModel, bytes]:
    """Train vocabulary and encoder; returns (encoder, bytes of spiece.model)."""
    clips = sample_captions(recipe.captions, recipe.seed)
    model_bytes = train_tokenizer([clip.caption.text for clip in clips], recipe.vocabulary)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
    encoder = build_encoder(recipe, processor.vocab_size())
    classes = (NOBODY + 1, len(ACTIONS) + 1, len(SCENES), len(PANS))
    heads = Linear(recipe.dim, sum(classes))
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    tokenized = [_tokenize(processor, clip) for clip in clips]
    rng = np.random.default_rng(recipe.seed)
    guard = StepGuard("text")
    for step in range(recipe.steps):
        rows = [tokenized[int(k)] for k in rng.integers(len(tokenized), size=recipe.batch)]
        ids, labels = _collate(rows)
        mask = ids != PAD
        states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        known = labels[..., 0] >= 0
        losses, right = [], []
        for logits, target in zip(heads(states[known]).split(classes, -1), labels[known].unbind(-1), strict=True):
            losses.append(F.cross_entropy(logits, target))
            right.append(float((logits.argmax(-1) == target).float().mean()))
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack(losses).sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        if guard.counts(step, {"loss": loss.item(), "norm": norm.item()}):
            optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == recipe.steps - 1:
            shares = ", ".join(f"{n} {r:.3f}" for n, r in zip(("owner", "action", "scene", "pan"), right, strict=True))
            log(f"text: step {step}/{recipe.steps}, right: {shares}")
    check_finite(encoder.state_dict(), "the text encoder", "it was not written; lower the learning rate")
    return encoder.train(False), model_bytes


def _tokenize(processor: sentencepiece.SentencePieceProcessor, clip: ClipSpec) -> tuple[list[int], np.ndarray]:
    pieces = processor.encode(clip.caption.text, return_type="proto").pieces
    text = clip.caption.text
    # A piece such as " hat" begins with its space: it belongs where its first letter stands.
    begins = [p.begin + (len(text[p.begin : p.end]) - len(text[p.begin : p.end].lstrip())) for p in pieces]
    return [p.id for p in pieces] + [END], token_labels(clip, begins)


def _collate(rows: list[tuple[list[int], np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    """ids int64 [B, L] padded with PAD, labels int64 [B, L, 4] padded (and on the end token) with -1."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), length), PAD)
    labels = torch.full((len(rows), length, 4), -1)
    for n, (row_ids, row_labels) in enumerate(rows):
        ids[n, : len(row_ids)] = torch.tensor(row_ids)
        labels[n, : len(row_labels)] = torch.from_numpy(row_labels)
    return ids, labels
