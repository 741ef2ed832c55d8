"""Files beside an image that say something of it and are not read: an ENVI header, world files, `.aux.xml`.

A file from an unknown source must not make the program read other files. That they are there is taken down.
"""

from __future__ import annotations

from pathlib import Path

from hsr_tf.io.account import Account

SIDES = (".hdr", ".tfw", ".tifw", ".wld", ".prj", ".imd", ".rpb", ".xml")
APPENDED = (".aux.xml", ".msk")
WAVELENGTHS = ".hdr"


def leave_beside(path: Path, account: Account) -> None:
    """Take down the files beside an image that carry its name."""
    beside = [path.with_suffix(suffix) for suffix in SIDES]
    beside += [path.with_name(path.name + suffix) for suffix in APPENDED]
    beside += [path.with_name(f"{path.stem}_RPC{suffix}") for suffix in (".TXT", ".txt")]
    for one in (one for one in beside if one != path and one.is_file()):
        is_header = one.suffix == WAVELENGTHS
        advice = f"give --wavelengths={one.name} for its wavelengths" if is_header else ""
        account.leave(one.name, "lies beside the file and is not read", advice, matters=is_header)
