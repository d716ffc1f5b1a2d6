"""What tests of several modules share."""

from pathlib import Path

import pytest
from fakes import FakeLoop

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project() -> Path:
    """The top of the checkout."""
    return PROJECT


@pytest.fixture
def fake_loop() -> FakeLoop:
    return FakeLoop()
