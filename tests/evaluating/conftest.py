"""The short training of the tests of sampling, for those of evaluation."""

from tests.sampling.conftest import run

__all__ = ["run"]
