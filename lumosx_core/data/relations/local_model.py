"""A vision-language model of transformers in this process (Qwen2.5-VL, Qwen3-VL, ...), kept to the schema by a grammar.

A server answers many questions at once and is many times as fast; this is for machines where none runs. Every worker process
loads a model of its own. The grammar (xgrammar) allows no blanks of choice, in which small models are known to lose themselves.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lumosx_core.data.relations.language_model import TEMPERATURES, AnswerError, Message
from lumosx_core.errors import InputError
from lumosx_core.files.images import decoded
from lumosx_core.packages import lacking_packages

MOST_TOKENS = 1024  # of an answer
PACKAGES = ("transformers", "xgrammar", "pydantic")


class LocalModel:
    """A model folder of transformers, loaded when it is first asked. device: "cpu", "cuda", ...; on a card in bf16.

    Raises InputError for a folder that is missing or holds no such model, and for packages that are not installed.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", seed: int = 0) -> None:
        self.folder, self.device, self.seed = folder, device, seed
        check_local_model(folder)

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.folder.absolute().name

    def start(self) -> str:
        """As `LanguageModel` says: loads the model."""
        _ = self._loaded, self._compiler
        return "json_schema"

    def wait_until_well(self) -> bool:
        """There is nothing to wait for."""
        return False

    def ask(self, messages: Sequence[Message], schema: dict[str, Any], attempt: int) -> str:
        """As `LanguageModel` says: text in the form of the schema, or an AnswerError where it did not come to its end."""
        import torch
        from xgrammar.contrib.hf import LogitsProcessor

        model, processor = self._loaded
        asked = processor.apply_chat_template(
            [_turn(message) for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device)
        grammar = self._compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
        warm = {"do_sample": True, "temperature": TEMPERATURES[attempt]} if TEMPERATURES[attempt] else {"do_sample": False}
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices):
            torch.manual_seed(self.seed + attempt)
            tokens = model.generate(**asked, max_new_tokens=MOST_TOKENS, logits_processor=[LogitsProcessor(grammar)], **warm)
        answer = tokens[0, asked["input_ids"].shape[1] :]
        if len(answer) == MOST_TOKENS:
            raise AnswerError("the answer is too long and was cut off")
        return processor.tokenizer.decode(answer, skip_special_tokens=True)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """Model and processor."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        try:
            processor = AutoProcessor.from_pretrained(self.folder, local_files_only=True)
            model = AutoModelForImageTextToText.from_pretrained(self.folder, local_files_only=True, dtype=dtype)
            return model.to(self.device).train(False), processor
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise InputError(f"cannot load the language model in {self.folder} ({error}); {_WANTED}") from error

    @cached_property
    def _compiler(self) -> Any:
        """Makes grammars, each once, for the tokens of this model."""
        from xgrammar import GrammarCompiler, TokenizerInfo

        model, processor = self._loaded
        tokens = TokenizerInfo.from_huggingface(processor.tokenizer, vocab_size=model.config.get_text_config().vocab_size)
        return GrammarCompiler(tokens)


_WANTED = "get one that sees pictures, such as Qwen/Qwen2.5-VL-7B-Instruct, whole, with its tokenizer and preprocessor files"


def check_local_model(folder: Path) -> None:
    """Raises InputError if this is no model folder of transformers that answers about pictures, or packages are missing; loads
    no weights."""
    if not str(folder).strip(".") or not (folder / "config.json").is_file():
        raise InputError(f"there is no language model in {str(folder)!r}; name its folder by models.reader: {_WANTED}")
    if lacking := lacking_packages(*PACKAGES):
        raise InputError(f"a language model in this process lacks {lacking}")
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read {folder / 'config.json'} ({error}); {_WANTED}") from error
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise InputError(f"{folder} holds a {config.model_type}, which does not answer about pictures; {_WANTED}")


def _turn(message: Message) -> dict[str, Any]:
    """A message as chat templates of models that see pictures want it."""
    shown = [{"type": "image", "image": decoded(picture)} for picture in message.pictures]
    return {"role": message.role, "content": [*shown, {"type": "text", "text": message.text}]}
