"""Chat models in this process, from Hugging Face folders and hub ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from univar.elicit.endpoint import messages
from univar.elicit.requests import ModelEntry, Reply, Request
from univar.errors import ProviderError, UsageError

BATCH_SIZE = 16
BATCHES_AHEAD = 8
"""This many batches are taken at a time, so that each can have prompts of similar length."""


class Prompts:
    """A model's tokenizer and chat template; an encoder-decoder takes plain prompts."""

    def __init__(self, model: ModelEntry) -> None:
        """Raises UsageError for a missing package or template, ProviderError if the model cannot load."""
        with _reported(model):
            from transformers import AutoConfig, AutoTokenizer

            self.config: Any = AutoConfig.from_pretrained(model.model, trust_remote_code=False)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                model.model, trust_remote_code=False, padding_side="left"
            )
        self.encoder_decoder = bool(self.config.is_encoder_decoder)
        if not (self.encoder_decoder or self.tokenizer.chat_template):
            raise UsageError(f"model {model.name!r} has no chat template: name an instruction-tuned model")
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def text(self, request: Request) -> str:
        """The whole text that the model reads for `request`."""
        if self.encoder_decoder:
            return f"{request.system}\n{request.question}" if request.system else request.question
        from jinja2 import TemplateError

        try:
            return self._templated(messages(request))
        except TemplateError:  # no system prompts in this template: put it before the question
            return self._templated([{"role": "user", "content": f"{request.system}\n\n{request.question}"}])

    def batch(self, texts: list[str]) -> Any:
        """`input_ids` and `attention_mask`, (B, T) int64, padded on the left."""
        return self.tokenizer(
            texts, return_tensors="pt", padding=True, add_special_tokens=self.encoder_decoder
        )

    def count(self, request: Request) -> int:
        """Tokens of the prompt."""
        return int(self.batch([self.text(request)])["attention_mask"].sum())

    def _templated(self, chat: list[dict[str, Any]]) -> str:
        return self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


class TransformersModel:
    """A decoder with a chat template, or an encoder-decoder."""

    def __init__(self, model: ModelEntry) -> None:
        """Raises what `Prompts` raises, and UsageError for an unknown setting."""
        self._prompts = Prompts(model)
        import torch

        self._model = model
        self._device = model.options.get("device", "cuda" if torch.cuda.is_available() else "cpu")
        self._rows = model.options.get("batch_size", BATCH_SIZE)
        self.batch_size = self._rows * BATCHES_AHEAD
        self._network = _load(model, self._prompts, self._device)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in their order."""
        prompts = [self._prompts.text(request) for request in requests]
        order = sorted(range(len(requests)), key=lambda row: len(prompts[row]))
        replies: dict[int, Reply] = {}
        for start in range(0, len(order), self._rows):
            rows = order[start : start + self._rows]
            answered = self._generate([prompts[row] for row in rows], [requests[row].seed for row in rows])
            replies.update(zip(rows, answered, strict=True))
        return [replies[row] for row in range(len(requests))]

    def close(self) -> None:
        """Free the weights."""
        import torch

        del self._network
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _generate(self, prompts: list[str], seeds: list[int]) -> list[Reply]:
        import torch

        from univar.elicit.sampling import processors

        batch = self._prompts.batch(prompts).to(self._device)
        with torch.inference_mode():
            ids = self._network.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=self._model.max_tokens,
                do_sample=False,
                logits_processor=processors(self._model.sampling, seeds),
                pad_token_id=self._prompts.tokenizer.pad_token_id,
            )
        first = 1 if self._prompts.encoder_decoder else batch["input_ids"].shape[1]
        sizes = batch["attention_mask"].sum(dim=1).tolist()
        return [self._reply(row, size) for row, size in zip(ids[:, first:].tolist(), sizes, strict=True)]

    def _reply(self, ids: list[int], prompt_tokens: int) -> Reply:
        ends = self._network.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        length = next((place for place, token in enumerate(ids) if token in ends), None)
        used = len(ids) if length is None else length + 1
        text = self._prompts.tokenizer.decode(ids[:used], skip_special_tokens=True)
        return Reply(text.strip(), "length" if length is None else "stop", prompt_tokens, used)


@contextmanager
def _reported(model: ModelEntry) -> Iterator[None]:
    """Turn what transformers raises for a model it cannot load into one sentence."""
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise UsageError(
            "api = \"transformers\" needs the package transformers: pip install 'univar-embed[local]'"
        ) from None
    try:
        yield
    except ImportError as error:
        raise UsageError(f"model {model.name!r}: a package is missing ({_line(error)})") from None
    except (OSError, ValueError) as error:
        raise ProviderError(f"model {model.name!r} cannot be loaded ({_line(error)})") from None


def _load(model: ModelEntry, prompts: Prompts, device: str) -> Any:
    """The network, ready to generate."""
    with _reported(model):
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        kind = AutoModelForSeq2SeqLM if prompts.encoder_decoder else AutoModelForCausalLM
        network: Any = kind.from_pretrained(
            model.model, trust_remote_code=False, use_safetensors=True, **_weights(model, device)
        )
    return (network if "load_in" in model.options else network.to(device)).eval()


def _weights(model: ModelEntry, device: str) -> dict[str, Any]:
    """How to hold the weights: as stored, in another dtype, or in 8 or 4 bits with bitsandbytes."""
    load_in = model.options.get("load_in")
    if load_in is None:
        return {"dtype": model.options.get("dtype", "auto")}
    if load_in not in ("8bit", "4bit"):
        raise UsageError(f"model {model.name!r}: load_in must be 8bit or 4bit, not {load_in!r}")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_8bit=load_in == "8bit", load_in_4bit=load_in == "4bit")
    return {"quantization_config": config, "device_map": device}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
