"""Studies, and the app in the same folder, as fixtures."""

from tests.sweeps.report.conftest import studies

__all__ = ["studies"]
