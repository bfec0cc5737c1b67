"""Settings of the store's tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def quick_fsync(monkeypatch):
    """No waiting for the disk: tests see what was written without it (test_io_faults checks the order)."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
