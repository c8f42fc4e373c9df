"""Who a file is, by its content."""

import hashlib
from pathlib import Path

from lumosx_core.errors import InputError


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits. Raises InputError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error}); check its name and its permissions") from error
    return digest.hexdigest()
