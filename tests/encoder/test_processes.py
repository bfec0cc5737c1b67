"""Threads that are not there: after fork(), where the system starts no more, where too many are asked for."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from univar import runtime
from univar.encoder.encoder import Encoder
from univar.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [f"we should {word} it {n}" for n in range(40) for word in ("care", "share", "follow", "keep")]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")


def run(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, at most a minute."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("isa", ["portable", "avx2"])
def test_an_encoder_used_before_fork_works_in_the_child(tiny_bert: Path, isa: str) -> None:
    done = run(
        """
        import os, signal, sys
        import numpy as np
        from tests.encoder.test_processes import TEXTS
        from univar.encoder.encoder import Encoder

        encoder = Encoder(sys.argv[1], threads=3)
        before = encoder.encode(TEXTS)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            same = np.array_equal(encoder.encode(TEXTS), before)
            same &= np.array_equal(Encoder(sys.argv[1], threads=2).encode(TEXTS), before)
            sys.exit(0 if same else 1)  # the encoder's end is part of it
        _, status = os.waitpid(child, 0)
        assert np.array_equal(encoder.encode(TEXTS), before)
        print(os.waitstatus_to_exitcode(status))
        """,
        tiny_bert,
        UNIVAR_ISA=isa,
    )
    assert done.stdout.strip() == "0", done.stderr


def test_workers_of_multiprocessing_share_an_encoder(tiny_bert: Path) -> None:
    done = run(
        """
        import multiprocessing, sys
        from univar.encoder.encoder import Encoder

        encoder = Encoder(sys.argv[1], threads=2)
        encoder.encode(["care"])

        def first(text):
            return float(encoder.encode([text] * 9)[0, 0])

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map_async(first, ["care", "duty"]).get(30) == [first("care"), first("duty")])
        """,
        tiny_bert,
    )
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize("spare_stacks", [0, 2])
def test_the_threads_there_are_do_the_work(tiny_bert: Path, spare_stacks: int) -> None:
    """A stack of a gigabyte a thread, and address space for a few of them: the rest cannot start."""
    done = run(
        """
        import resource, sys
        GB = 1 << 30
        if sys.argv[3] == "outer":
            import os
            resource.setrlimit(resource.RLIMIT_STACK, (GB, resource.getrlimit(resource.RLIMIT_STACK)[1]))
            os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], *sys.argv[1:3], "inner"])
        import numpy as np
        from tests.encoder.test_processes import TEXTS
        from univar.encoder.encoder import Encoder
        from univar.encoder.tokenizer import load_tokenizer
        expected = Encoder(sys.argv[1], threads=1).encode(TEXTS)
        used = 4096 * int(open("/proc/self/statm").read().split()[0])
        limit = used + int(sys.argv[2]) * GB + GB // 2
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        encoder = Encoder(sys.argv[1], threads=20)
        same = np.array_equal(encoder.encode(TEXTS), expected)
        ids, _ = encoder.tokenize(TEXTS * 500)  # enough bytes for many tokenizer threads
        print(same, len(ids) == 500 * len(encoder.tokenize(TEXTS)[0]))
        """,
        tiny_bert,
        spare_stacks,
        "outer",
        UNIVAR_ISA="portable",
    )
    assert done.stdout.strip() == "True True", done.stderr


def test_far_too_many_threads_are_cut_and_told(tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "univar"):
        encoder = Encoder(tiny_bert, threads=100_000)
    assert "100000 threads are asked for; 256 are started" in caplog.text
    expected = Encoder(tiny_bert, threads=1).encode(TEXTS)
    assert np.array_equal(encoder.encode(TEXTS), expected)
    assert runtime.thread_count(None) == runtime.usable_cpus()
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        runtime.thread_count(0)
