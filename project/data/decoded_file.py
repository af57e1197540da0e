"""The decoded images of a folder in one file that is mapped into memory, so that they are decoded once.

The file has two digests and then the pixels [M, H, W, C] uint8 of all images. The first digest is that of the set with
its preparation, the second that of the pixels.
"""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import PIL
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor

from project.data.image_files import FILES_AT_ONCE, ImageFiles, progress
from project.system.files import atomic_write

DIGEST = hashlib.sha256().digest_size
BLOCK = 2**20  # bytes that are read at once


def decoded_file(files: ImageFiles) -> Path:
    """The path of the file, in the folder of the images."""
    return files.folder / f".decoded-{files.preparation}.bin"


def write_decoded(files: ImageFiles) -> None:
    """Decode all images and write them whole.

    Raises:
        OSError: the file cannot be written.
        UserError: an image can no longer be read.
    """
    path, size = decoded_file(files), 2 * DIGEST + math.prod(files.shape)
    megabytes = math.ceil(size / 1e6)
    with atomic_write(path, several_writers=True, durable=True) as unfinished, unfinished.open("wb") as output:
        rank_zero_only(print)(f"decoding {len(files):,} images once, into {path} ({megabytes:,} MB)", flush=True)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(output.fileno(), 0, size)  # a full disk is noticed before the images are decoded
        output.seek(2 * DIGEST)
        content = hashlib.sha256()
        for pixels in progress(files.read_batches(torch.arange(len(files)), FILES_AT_ONCE), len(files), "decoded"):
            content.update(pixels.numpy().data)
            output.write(pixels.numpy().data)
        output.seek(0)
        output.write(_digest(files) + content.digest())


def map_decoded(files: ImageFiles) -> Tensor | None:
    """The pixels [M, H, W, C] uint8 of all images; None if the file is missing, damaged, or of other images.

    Changes of the tensor stay in memory. The file is read once, to compare its digest.
    """
    try:
        with decoded_file(files).open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != 2 * DIGEST + math.prod(files.shape):
                return None
            digests, content = file.read(2 * DIGEST), hashlib.sha256()
            while block := file.read(BLOCK):
                content.update(block)
            if digests != _digest(files) + content.digest():
                return None
            return torch.from_numpy(np.memmap(file, np.uint8, "c", 2 * DIGEST, files.shape))
    except OSError:
        return None


def _digest(files: ImageFiles) -> bytes:
    """Of the files, how they are prepared, and the version of the decoder."""
    digest = hashlib.sha256(PIL.__version__.encode())
    files.update_digest(digest)
    return digest.digest()
