"""Read what ``torch.save`` wrote, tensors and plain values only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def read_tensor_file(path: str | os.PathLike[str], fix: str) -> Any:
    """Return the content of a file that ``torch.save`` wrote, on the CPU; no code in it is run.

    Args:
        path: the file.
        fix: what to do when the file can't be read, the end of the message.

    Raises:
        FileNotFoundError: no such file.
        PermissionError: the file can't be read.
        ValueError: the file is damaged or was not written by ``torch.save``.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; {fix}")
    if not Path(path).stat().st_size:
        raise ValueError(f"{path}: damaged, the file is empty; {fix}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise  # names the file
    except Exception as error:
        # which exception a broken file causes depends on the byte that broke; a file cut short even gives OSError
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: damaged, or not written by torch.save ({reason}); {fix}") from error
