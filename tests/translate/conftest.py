"""Translating with a chat model asks the fake endpoint of the elicit tests."""

from tests.elicit.conftest import fake as fake
