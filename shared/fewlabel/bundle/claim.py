"""Take the folders of a run before its work begins."""

from __future__ import annotations

import os

from fewlabel.atomic import remove_leftovers
from fewlabel.folder_lock import hold_folder


def claim_folders(*folders: str | os.PathLike[str]) -> None:
    """Hold the folders that a run writes into until its process ends, and remove what killed runs left half written.

    So a folder that can't be written to, or in which another run works, is noticed before hours of work, and no two
    runs mix their files. Of the processes that ``torchrun`` started, the first claims for all.

    Raises:
        FolderInUseError: another run works in one of them; the message names it.
        PermissionError: one of them can't be written to.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    for folder in folders:
        hold_folder(folder)
        remove_leftovers(folder)
