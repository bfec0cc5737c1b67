"""A training run from answers to an encoder: it can be killed at any moment and continues where it was."""

from __future__ import annotations

import json
import os
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
from univar.files import make_folder, refuse_existing
from univar.train.corpus import TokenCorpus, build_corpus
from univar.train.gradients import Processes
from univar.train.metrics import MetricsFile, Tracker, open_tracker
from univar.train.options import TrainOptions, TrainSettings
from univar.train.report import TrainReport, facts_of, write_encoder
from univar.train.run_folder import RunFolder, load_tensors, read_state
from univar.train.sampler import ViewSampler
from univar.train.step import StepFacts, Stepper, learning_rate
from univar.train.trainable import TrainableEncoder, attach_low_rank, mix_in_base
from univar.train.validation import Validator, split_questions

FORMAT = 3
"""Format of checkpoints; a run that was begun under another one is not continued."""

TRIM_EVERY = 16
"""Steps after which freed memory is given back: batches of many sizes leave holes."""


def train(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: TrainSettings,
    options: TrainOptions | None = None,
    *,
    on_progress: Callable[[TrainProgress], Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **changes: Any,
) -> TrainReport:
    """Train `settings.base` on answers and write the encoder folder `out`; the run works in `<out>.run`.

    inputs:      answer files or stores
    options:     see TrainOptions; its fields may be given by name instead: train(..., resume=True)
    on_progress: called with the running state after every step; should_stop: asked after every step
    Under torchrun every process calls this; process 0 writes.
    Raises UsageError, DataError (too few sources, a loss that is not finite) or ProviderError (the disk).
    """
    options = (options or TrainOptions()).changed(**changes)
    target = Path(out)
    refuse_existing(target, options.force)
    run = TrainRun(inputs, target.with_name(f"{target.name}.run"), settings, options)
    run.train(on_progress, should_stop)
    facts = facts_of(run)
    if run.progress.stopped == "interrupted":
        return TrainReport(None, facts)
    if run.processes.rank == 0:
        write_encoder(run, target, facts, options.force)
    run.processes.wait()
    return TrainReport(str(target), facts)


@dataclass
class TrainProgress:
    """Where a run is: the part of a checkpoint that is no tensor, and what `on_progress` is told.

    best:          highest validation accuracy; `since_best` validations came after it
    kept_accuracy: of the weights of `kept_step`, the last ones that were as good as the best (`as_good_as`)
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
    validated_step: int = 0
    since_best: int = 0
    share: float = 0.0
    stopped: str = ""


class TrainRun:
    """One training run in the working folder `folder`; the other arguments are those of `train`."""

    def __init__(
        self,
        inputs: Sequence[str | os.PathLike[str]],
        folder: Path,
        settings: TrainSettings,
        options: TrainOptions,
    ) -> None:
        self.settings, self.folder, self._options = settings.checked(), RunFolder(folder), options
        self.device = torch.device(runtime.choose_device(options.device))
        self.processes = Processes.of_environment(self.device)
        found = self.folder.checkpoints()
        if found and not options.resume:
            raise UsageError(
                f"{folder} holds an unfinished run: continue it with --resume, or remove the folder"
            )
        if (settings.loss == "value_aware") != bool(options.non_value):
            raise UsageError("--loss value_aware and --non-value FILE (answers without values) go together")
        self.base: ResolvedSpec = resolve(settings.base)
        self._base_config = read_config(self.base.folder)
        layers = self.settings.layers_kept(self._base_config.layers)
        self.config: EncoderConfig = replace(self._base_config, layers=layers)
        self.max_length = min(settings.max_length, self.config.positions)
        self.dtype = runtime.choose_dtype(settings.dtype, str(self.device)).chosen
        self._threads = runtime.thread_count(options.threads) if self.device.type == "cpu" else 1
        make_folder(folder)
        with self.processes.first_by_itself():  # the others find the tokens written
            self.corpus: TokenCorpus = self._tokenised(inputs)
            self._non_value = self._tokenised(options.non_value) if options.non_value else None
        self._prepare(found[-1] if found else None)

    def _tokenised(self, inputs: Sequence[str | os.PathLike[str]]) -> TokenCorpus:
        return build_corpus(
            [os.fspath(path) for path in inputs],
            load_tokenizer(self.config.folder, self.max_length, self._threads),
            cache=self.folder.tokens,
            tokenizer_id=self.base.revision,
            mask=self.settings.mask_names,
            where=self.settings.where,
            reading=self._options.reading,
        )

    def _prepare(self, last: Path | None) -> None:
        """Make sampler, encoder and optimizer as they were at the checkpoint `last`, if there is one."""
        settings = self.settings
        train, held_out = split_questions(self.corpus, settings.held_out, settings.seed)
        self.sampler = ViewSampler(self.corpus, train, settings.views, settings.batch, settings.seed)
        self._validator = Validator(self.corpus, train, held_out, self.max_length, settings.seed)
        encoder = self._base_encoder()
        if settings.lora_rank:
            attach_low_rank(encoder, settings.lora_rank, settings.seed)
        self.encoder = encoder.to(self.device)
        workers = one_threaded_workers(self._threads)
        n_sources = len(self.corpus.source_names)
        self._stepper = Stepper(self.encoder, settings, self.processes, workers, self._threads, n_sources)
        self.progress = TrainProgress() if last is None else self._restored(last)
        self.progress.steps = self._last_step()
        self._metrics: MetricsFile | None = None
        self._tracker: Tracker | None = None
        if self.processes.rank == 0:
            self._metrics = MetricsFile(self.folder.metrics, self.progress.step)
            self._tracker = open_tracker(self._options.log, self.folder.path, settings.to_dict())

    def _restored(self, checkpoint: Path) -> TrainProgress:
        state = read_state(checkpoint)
        if state.get("identity") != self._identity():
            raise UsageError(
                f"{self.folder.path} belongs to a run with another corpus, other settings or another "
                "version of univar: resume with the same ones, or choose another --out"
            )
        load_tensors(checkpoint, state["step"], self._stepper)
        return TrainProgress(**{**state["progress"], "step": state["step"]})

    def _base_encoder(self) -> TrainableEncoder:
        """The base before the first step, with the layers that are kept."""
        return TrainableEncoder(
            self.config,
            lowest_layers(adapted_weights(self.base, self._base_config), self.config.layers),
            TORCH_DTYPES[self.dtype],
            self.settings.checkpointing,
            normalize=self.settings.loss != "value_aware",
        )

    def _identity(self) -> dict[str, Any]:
        """What must be the same when a run is continued."""
        return json.loads(
            json.dumps(
                {
                    "format": FORMAT,
                    "settings": self.settings.to_dict(),
                    "corpus": self.corpus.folder.name,
                    "non_value": self._non_value.folder.name if self._non_value else None,
                    "base": self.base.revision,
                    "dtype": self.dtype,
                }
            )
        )

    def _last_step(self) -> int | None:
        """Steps after which the run ends; None if only the clock ends it."""
        ends = [] if self.settings.steps is None else [self.settings.steps]
        if self.settings.epochs is not None:
            ends.append(max(1, int(self.settings.epochs * self.sampler.steps_per_epoch)))
        if not ends and self.settings.budget_minutes is None:
            raise UsageError("say when to stop: --steps, --epochs or --budget-minutes")
        return min(ends, default=None)

    def train(
        self, on_progress: Callable[[TrainProgress], Any] | None, should_stop: Callable[[], bool] | None
    ) -> None:
        """Take steps until the run ends; the kept weights are then in the encoder."""
        progress = self.progress
        if progress.step == 0:
            self._validate()
        else:
            self._decide(should_stop)  # the run may have ended with its last checkpoint
        while not progress.stopped:
            started = time.monotonic()
            facts = self._step()
            progress.seconds += time.monotonic() - started
            self._record(facts)
            every = self.settings.validate_every
            if every and progress.step % every == 0:
                self._validate()
            self._decide(should_stop)
            if progress.step % self._options.checkpoint_every == 0 or progress.stopped == "interrupted":
                self._save()
            if on_progress is not None:
                on_progress(progress)
        self._finish()

    def _step(self) -> StepFacts:
        progress = self.progress
        progress.share = self.processes.agree(self._share())
        rate = learning_rate(self.settings, progress.step, progress.share)
        batch = self.sampler.batch(progress.step)
        facts = self._stepper.run(self.corpus, batch, rate, self.max_length, self._non_value_rows())
        progress.loss, progress.gradient_norm = facts.loss, facts.gradient_norm
        progress.tokens += facts.tokens
        progress.step += 1
        if progress.step % TRIM_EVERY == 0:
            runtime.release_freed_memory()
        self._last_rate = rate
        return facts

    def _non_value_rows(self) -> tuple[TokenCorpus, np.ndarray] | None:
        """As many rows of the corpus without values as there are pairs; a function of seed and step."""
        if self._non_value is None:
            return None
        rng = np.random.Generator(np.random.Philox(key=[self.settings.seed + 1, self.progress.step]))
        return self._non_value, rng.integers(0, len(self._non_value), self.settings.batch)

    def _share(self) -> float:
        """Share of the run that is done, by steps or by the clock, whichever is larger."""
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
            "temperature": float(torch.exp(-self._stepper.objective.log_scale.detach())),
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
        found = self._validator.run(self._stepper.backpropagation)
        progress.seconds += time.monotonic() - started
        progress.accuracy, progress.chance = found.accuracy, found.chance
        progress.validated_step = progress.step
        if progress.first_accuracy is None:
            progress.first_accuracy = found.accuracy
        progress.since_best = 0 if found.accuracy > progress.best else progress.since_best + 1
        progress.best = max(progress.best, found.accuracy)
        if found.as_good_as(progress.best):
            progress.kept_accuracy, progress.kept_step = found.accuracy, progress.step
            if self.processes.rank == 0:
                self.folder.keep(self._stepper)
        self._write(
            max(0, progress.step - 1), {"validation_accuracy": found.accuracy, "chance": found.chance}
        )

    def _decide(self, should_stop: Callable[[], bool] | None) -> None:
        progress, settings = self.progress, self.settings
        budget = settings.budget_minutes
        if progress.steps is not None and progress.step >= progress.steps:
            progress.stopped = "all steps done"
        elif budget is not None and progress.seconds >= 60 * budget:
            progress.stopped = f"time budget of {budget:g} minutes used up"
        elif settings.validate_every and progress.since_best >= settings.patience:
            progress.stopped = f"{progress.since_best} validations without improvement"
        elif should_stop is not None and should_stop():
            progress.stopped = "interrupted"
        stop = self.processes.agree(float(bool(progress.stopped)))
        if stop and not progress.stopped:
            progress.stopped = "process 0 stopped"

    def _mix_in_base(self) -> None:
        """Mix the base into the kept weights, and measure the accuracy of the result."""
        if not self.settings.base_share:
            return
        mix_in_base(self.encoder, self._base_encoder(), self.settings.base_share)
        if self._validator and self.settings.validate_every:
            self.progress.accuracy = self._validator.run(self._stepper.backpropagation).accuracy

    def _save(self) -> None:
        if self.processes.rank == 0:
            kept = {**vars(self.progress), "stopped": ""}
            state = {"identity": self._identity(), "progress": kept}
            self.folder.save(self.progress.step, self._stepper, state)
        self.processes.wait()

    def _finish(self) -> None:
        progress = self.progress
        if progress.stopped != "interrupted":
            every = self.settings.validate_every
            if every and progress.step % every:  # else there was a validation just now
                self._validate()
            self.processes.wait()  # process 0 may still be writing the kept weights
            if 0 <= progress.kept_step < progress.step:
                self.folder.load_kept(self._stepper)
                progress.accuracy = progress.kept_accuracy
            self.processes.wait()  # process 0 soon removes the folder
            self._mix_in_base()
        for sink in (self._metrics, self._tracker):
            if sink is not None:
                sink.close()
