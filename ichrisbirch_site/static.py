"""CSS and scripts of the admin, served by the site itself, also with DEBUG off."""

from pathlib import Path
from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise's, which warns where nothing was collected; then the apps' own files are served."""

    def add_files(self, root: Any, prefix: str | None = None) -> None:
        """Those of a folder, if it is there."""
        if Path(root).is_dir():
            super().add_files(root, prefix)
