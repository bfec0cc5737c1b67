"""Run by test_kill.py: children write to one store and are killed; prints what was found after each kill.

usage: killed_writer.py STORE SEED KILLS. One line of JSON for each kill: rows acknowledged, rows found.
"""

import json
import os
import random
import select
import signal
import sys
from pathlib import Path

from tests.store.store_rows import ENCODER, rows
from univar.store import Store, StoreWriter

ROWS = 40
FIRST_KILL_AFTER = 0.002


def write_forever(path, acknowledge):
    """Append and flush without end; one byte goes to `acknowledge` after each flush."""
    with StoreWriter(path, encoder=ENCODER) as writer:
        while True:
            writer.append(rows(ROWS, writer.rows, answer=["x" * 20_000] * ROWS))
            writer.flush()
            os.write(acknowledge, b".")


def write_and_die(path, chance):
    """Fork a writer, kill it between an acknowledgement and the next; returns the flushes acknowledged."""
    reader, acknowledge = os.pipe()
    child = os.fork()
    if not child:
        try:
            write_forever(path, acknowledge)
        finally:
            os._exit(1)
    os.close(acknowledge)
    flushes = chance.randrange(4)
    acknowledged = sum(len(os.read(reader, 1)) for _ in range(flushes))
    select.select([reader], [], [], FIRST_KILL_AFTER * chance.uniform(0, 10))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    acknowledged += len(os.read(reader, 1000))
    os.close(reader)
    return acknowledged


def main():
    path, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    acknowledged = 0
    for _ in range(kills):
        acknowledged += ROWS * write_and_die(path, chance)
        exists = any(path.glob("manifest*.json"))
        store = Store(path) if exists else ()
        for shard in store.shards if exists else ():
            shard.check_blocks()
        print(json.dumps({"acknowledged": acknowledged, "found": len(store)}), flush=True)
        acknowledged = len(store)


if __name__ == "__main__":
    main()
