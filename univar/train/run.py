"""A training run from corpus to encoder folder: it can be killed at any moment and goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from univar import runtime
from univar.encoder.adapter import adapted_weights
from univar.encoder.checkpoint import lowest_layers
from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.forward_torch import TORCH_DTYPES, one_threaded_workers
from univar.encoder.spec import ResolvedSpec, resolve
from univar.encoder.tokenizer import load_tokenizer
from univar.errors import UsageError
from univar.files import make_folder
from univar.train import checkpoint
from univar.train.interpolate import mix_in_base
from univar.train.low_rank import attach
from univar.train.metrics import MetricsFile, Tracker, open_tracker
from univar.train.optimizer import learning_rate
from univar.train.processes import Processes
from univar.train.settings import TrainSettings
from univar.train.step import StepFacts, Stepper
from univar.train.trainable import TrainableEncoder
from univar.train.validation import Validator, split_questions
from univar.train.views import TokenCorpus, ViewSampler, build_corpus

FORMAT = 2
"""Of what a checkpoint holds; a run begun under another one is not continued."""

TRIM_EVERY = 16
"""Steps after which freed memory is given back: batches of ever other sizes leave holes."""


@dataclass
class Progress:
    """Where a run is; what a checkpoint holds beside tensors, and what `on_progress` is told.

    best:          highest validation accuracy; `bad` validations came since
    kept_accuracy: that of the weights of `kept_step`, the last that were as good as the best (`as_good_as`)
    """

    step: int = 0
    steps: int | None = None
    seconds: float = 0.0
    tokens: int = 0
    loss: float = float("nan")
    gradient_norm: float = float("nan")
    first_accuracy: float | None = None
    accuracy: float | None = None
    chance: float | None = None
    best: float = -1.0
    kept_accuracy: float = -1.0
    kept_step: int = -1
    bad: int = 0
    share: float = 0.0
    stopped: str = ""


class Run:
    """One training run in the working folder `folder`; the arguments are those of `univar.train.train`."""

    def __init__(
        self,
        inputs: Sequence[str],
        folder: Path,
        settings: TrainSettings,
        *,
        non_value: Sequence[str] = (),
        resume: bool = False,
        device: str = "auto",
        threads: int | None = None,
        checkpoint_every: int = 50,
        log: str | None = None,
        format: str | None = None,
        rename: dict[str, str] | None = None,
    ) -> None:
        self.settings, self.folder = settings.checked(), folder
        self.processes = Processes.of_environment()
        self._checkpoint_every = checkpoint_every
        self._checkpoints = folder / "checkpoints"
        found = checkpoint.checkpoints(self._checkpoints)
        if found and not resume:
            raise UsageError(
                f"{folder} holds a run that was not finished: give --resume, or remove the folder"
            )
        self.source: ResolvedSpec = resolve(settings.base)
        self._base_config = read_config(self.source.folder)
        layers = self.settings.layers_kept(self._base_config.layers)
        self.config: EncoderConfig = replace(self._base_config, layers=layers)
        self.max_length = min(settings.max_length, self.config.positions)
        self.device = torch.device(runtime.choose_device(device))
        self.dtype = runtime.choose_dtype(settings.dtype, self.device.type).chosen
        self.threads = (threads or runtime.usable_cpus()) if self.device.type == "cpu" else 1
        make_folder(folder)
        tokenizer = load_tokenizer(self.config.folder, self.max_length, self.threads)
        if (settings.loss == "value_aware") != bool(non_value):
            raise UsageError("--loss value_aware and --non-value FILE (answers without values) go together")

        def tokenised(files: Sequence[str]) -> TokenCorpus:
            return build_corpus(
                files,
                tokenizer,
                cache=folder / "tokens",
                tokenizer_id=self.source.revision,
                mask=settings.mask_names,
                where=settings.where,
                format=format,
                rename=rename,
            )

        with self.processes.first_alone():  # the others find the tokens made
            self.corpus: TokenCorpus = tokenised(inputs)
            self._non_value = tokenised(non_value) if non_value else None
        self._prepare(found[-1] if found else None, log)

    def _prepare(self, last: Path | None, log: str | None) -> None:
        settings = self.settings
        train, held_out = split_questions(self.corpus, settings.held_out, settings.seed)
        self.sampler = ViewSampler(self.corpus, train, settings.views, settings.batch, settings.seed)
        self._validator = Validator(self.corpus, train, held_out, self.max_length, settings.seed)
        model = self._base_model()
        if settings.lora_rank:
            attach(model, settings.lora_rank, settings.seed)
        self.model = model.to(self.device)
        workers = one_threaded_workers(self.threads)
        self.stepper = Stepper(
            self.model, settings, self.processes, workers, self.threads, len(self.corpus.source_names)
        )
        self.progress = Progress()
        identity = self._identity()
        if last is not None:
            state = checkpoint.restore(last, self.stepper)
            if state["identity"] != identity:
                raise UsageError(
                    f"{self.folder} belongs to a run with another corpus, other settings or another version: "
                    "give the same ones to --resume, or another -o"
                )
            self.progress = Progress(**{**state["progress"], "step": state["step"]})
        self.progress.steps = self._last_step()
        self._tracker: Tracker | None = None
        self._metrics: MetricsFile | None = None
        if self.processes.rank == 0:
            self._metrics = MetricsFile(self.folder / "metrics.jsonl", self.progress.step)
            self._tracker = open_tracker(log, self.folder, settings.to_dict())

    def _base_model(self) -> TrainableEncoder:
        """The base as it is before the first step, of the layers that are kept."""
        return TrainableEncoder(
            self.config,
            lowest_layers(adapted_weights(self.source, self._base_config), self.config.layers),
            TORCH_DTYPES[self.dtype],
            self.settings.checkpointing,
            normalize=self.settings.loss != "value_aware",
        )

    def _identity(self) -> dict[str, Any]:
        """What must not change between a run and its continuation."""
        return json.loads(
            json.dumps(
                {
                    "format": FORMAT,
                    "settings": self.settings.to_dict(),
                    "corpus": self.corpus.folder.name,
                    "non_value": self._non_value.folder.name if self._non_value else None,
                    "base": self.source.revision,
                    "dtype": self.dtype,
                }
            )
        )

    def _last_step(self) -> int | None:
        """Steps after which the run ends, if it is not the clock that ends it."""
        ends = [] if self.settings.steps is None else [self.settings.steps]
        if self.settings.epochs is not None:
            ends.append(max(1, int(self.settings.epochs * self.sampler.steps_per_epoch)))
        if not ends and self.settings.budget_minutes is None:
            raise UsageError("say when to stop: --steps, --epochs or --budget-minutes")
        return min(ends, default=None)

    def train(
        self, on_progress: Callable[[Progress], Any] | None, should_stop: Callable[[], bool] | None
    ) -> Progress:
        """Take steps until the run ends; the kept weights are then in the model.

        on_progress: called after every step; should_stop: asked after every step
        """
        progress = self.progress
        if progress.step == 0:
            self._validate()
        while not progress.stopped:
            started = time.monotonic()
            facts = self._step()
            progress.seconds += time.monotonic() - started
            self._record(facts)
            every = self.settings.validate_every
            if every and progress.step % every == 0:
                self._validate()
            self._decide(should_stop)
            if progress.step % self._checkpoint_every == 0 or progress.stopped == "interrupted":
                self._save()
            if on_progress is not None:
                on_progress(progress)
        self._finish()
        return progress

    def _step(self) -> StepFacts:
        progress = self.progress
        progress.share = self.processes.agree(self._share())
        rate = learning_rate(self.settings, progress.step, progress.share)
        batch = self.sampler.batch(progress.step)
        facts = self.stepper.run(self.corpus, batch, rate, self.max_length, self._non_value_rows())
        progress.loss, progress.gradient_norm = facts.loss, facts.gradient_norm
        progress.tokens += facts.tokens
        progress.step += 1
        if progress.step % TRIM_EVERY == 0:
            runtime.release_freed_memory()
        self._last_rate = rate
        return facts

    def _non_value_rows(self) -> tuple[TokenCorpus, np.ndarray] | None:
        """As many rows of the corpus without values as there are pairs, by seed and step alone."""
        if self._non_value is None:
            return None
        rng = np.random.Generator(np.random.Philox(key=[self.settings.seed + 1, self.progress.step]))
        return self._non_value, rng.integers(0, len(self._non_value), self.settings.batch)

    def _share(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is further."""
        shares = [0.0]
        if self.progress.steps:
            shares.append(self.progress.step / self.progress.steps)
        if self.settings.budget_minutes:
            shares.append(self.progress.seconds / (60 * self.settings.budget_minutes))
        return min(1.0, max(shares))

    def _record(self, facts: StepFacts) -> None:
        numbers = {
            "loss": facts.loss,
            "gradient_norm": facts.gradient_norm,
            "learning_rate": self._last_rate,
            "temperature": float(torch.exp(-self.stepper.objective.log_scale.detach())),
            "tokens": self.progress.tokens,
            "seconds": round(self.progress.seconds, 3),
            "cpu_seconds": round(time.process_time(), 3),
        }
        self._write(self.progress.step - 1, numbers)

    def _write(self, step: int, numbers: dict[str, float]) -> None:
        if self._metrics is not None:
            self._metrics.write(step, numbers)
        if self._tracker is not None:
            self._tracker.write(step, numbers)

    def _validate(self) -> None:
        if not (self._validator and self.settings.validate_every):
            return
        progress, started = self.progress, time.monotonic()
        found = self._validator.run(self.stepper.backpropagation)
        progress.seconds += time.monotonic() - started
        progress.accuracy, progress.chance = found.accuracy, found.chance
        if progress.first_accuracy is None:
            progress.first_accuracy = found.accuracy
        progress.bad = 0 if found.accuracy > progress.best else progress.bad + 1
        progress.best = max(progress.best, found.accuracy)
        if found.as_good_as(progress.best):
            progress.kept_accuracy, progress.kept_step = found.accuracy, progress.step
            if self.processes.rank == 0:
                tensors = checkpoint.trained(self.stepper)
                checkpoint.replace_tensors(self.folder / "kept.safetensors", tensors)
        self._write(
            max(0, progress.step - 1), {"validation_accuracy": found.accuracy, "chance": found.chance}
        )

    def _decide(self, should_stop: Callable[[], bool] | None) -> None:
        progress, settings = self.progress, self.settings
        budget = settings.budget_minutes
        if progress.steps is not None and progress.step >= progress.steps:
            progress.stopped = "all steps done"
        elif budget is not None and progress.seconds >= 60 * budget:
            progress.stopped = f"{budget:g} minutes are over"
        elif settings.validate_every and progress.bad >= settings.patience:
            progress.stopped = f"{progress.bad} validations without a better one"
        elif should_stop is not None and should_stop():
            progress.stopped = "interrupted"
        stop = self.processes.agree(float(bool(progress.stopped)))
        if stop and not progress.stopped:
            progress.stopped = "process 0 stopped"

    def _mix_in_base(self) -> None:
        """Make the finished weights of the kept ones, and find their accuracy."""
        if not self.settings.base_share:
            return
        mix_in_base(self.model, self._base_model(), self.settings.base_share)
        if self._validator and self.settings.validate_every:
            self.progress.accuracy = self._validator.run(self.stepper.backpropagation).accuracy

    def _save(self) -> None:
        if self.processes.rank == 0:
            kept = {**vars(self.progress), "stopped": ""}
            state = {"identity": self._identity(), "progress": kept}
            checkpoint.save(self._checkpoints, self.progress.step, self.stepper, state)
        self.processes.wait()

    def _finish(self) -> None:
        progress = self.progress
        if progress.stopped != "interrupted":
            every = self.settings.validate_every
            if every and progress.step % every:  # else it has just been done
                self._validate()
            self.processes.wait()  # process 0 may still be writing the kept weights
            if 0 <= progress.kept_step < progress.step:
                checkpoint.load_trained(self.folder / "kept.safetensors", self.stepper)
                progress.accuracy = progress.kept_accuracy
            self.processes.wait()  # process 0 soon removes the folder
            self._mix_in_base()
        for sink in (self._metrics, self._tracker):
            if sink is not None:
                sink.close()
