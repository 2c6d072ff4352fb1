"""Files of weights from the Hugging Face hub: fetched once, checked, kept in the hub's cache.

A file is written beside the cache's blobs as NAME.fastconv.incomplete, where an interrupted
download goes on later, and becomes a blob only when its size and its checksum are those that the
hub announced (SHA-256, or git's SHA-1 for small files).
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from fastconv.errors import ArgumentError, DownloadError
from fastconv.version import __version__

PREFIX = "hf-hub:"
# as timm and transformers publish weights, the first one that there is
FILES = ("model.safetensors", "pytorch_model.bin")
ATTEMPTS = 100  # of a download that gets on a little each time
ADDRESS = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)


class Address(NamedTuple):
    """A repository of the hub and a branch, tag or commit of it."""

    repo: str
    revision: str = "main"

    @classmethod
    def parse(cls, text):
        """Of "hf-hub:owner/name" or "hf-hub:owner/name@revision"."""
        match = ADDRESS.fullmatch(text.removeprefix(PREFIX))
        if match is None or ".." in text:
            raise ArgumentError(
                "create_model: a hub address is 'hf-hub:owner/name' or 'hf-hub:owner/name@revision'"
                f", got {text!r}"
            )
        return cls(match[1], match[2] or "main")

    def __str__(self):
        return f"{PREFIX}{self.repo}" + f"@{self.revision}" * (self.revision != "main")


def fetch(address: Address) -> Path:
    """The file of weights at that address, from the cache or from the hub into it.

    What is in the cache is taken without asking the hub. HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE
    and HF_TOKEN hold as everywhere. Raises DownloadError.
    """
    try:
        import huggingface_hub as hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise DownloadError(
            f"create_model: {address} needs the package huggingface_hub: pip install"
            f" 'fastconv[hub]'. Without it: {_by_hand(address, 'https://huggingface.co')}"
        ) from error
    for name in FILES:
        cached = hub.try_to_load_from_cache(address.repo, name, revision=address.revision)
        if isinstance(cached, str):
            return Path(cached)
    for name in FILES:
        found = _announced(hub, address, name)
        if found is not None:
            break
    else:
        raise DownloadError(
            f"create_model: {address} at {hub.constants.ENDPOINT} has neither {' nor '.join(FILES)}"
        )
    folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{address.repo.replace('/', '--')}"
    blob = folder / "blobs" / found.etag
    if not blob.exists():
        blob.parent.mkdir(parents=True, exist_ok=True)
        _download(hub, address, name, found, blob)
    ref = folder / "refs" / address.revision
    if address.revision != found.commit_hash:
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(found.commit_hash)
    # the blob is there: this only links it into the snapshot of its commit
    return Path(hub.hf_hub_download(address.repo, name, revision=found.commit_hash))


def _announced(hub, address, name) -> Any:
    """What the hub says of a file: etag, size, commit; None if the repository has no such file."""
    url = hub.hf_hub_url(address.repo, name, revision=address.revision)
    try:
        found = hub.get_hf_file_metadata(url, library_name="fastconv", library_version=__version__)
    except hub.errors.RevisionNotFoundError as error:
        raise DownloadError(
            f"create_model: {address.repo} at {hub.constants.ENDPOINT} has no revision"
            f" {address.revision!r}"
        ) from error
    except hub.errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"create_model: there is no repository {address.repo!r} at {hub.constants.ENDPOINT}, or"
            " it is not open to you (`hf auth login`, or HF_TOKEN)"
        ) from error
    except hub.errors.EntryNotFoundError:
        return None
    # whatever its HTTP library raises
    except Exception as error:
        raise _unreachable(hub, address, url, error) from error
    if not found.etag or not found.commit_hash:
        raise DownloadError(
            f"create_model: {url} answers without checksum and commit: {hub.constants.ENDPOINT} is"
            " no Hugging Face hub (HF_ENDPOINT)"
        )
    return found


def _download(hub, address, name, found, blob):
    """Writes blob, whole and right, or leaves a part of it for the next time."""
    from huggingface_hub.file_download import http_get

    part = blob.with_name(f"{blob.name}.fastconv.incomplete")
    url = hub.hf_hub_url(address.repo, name, revision=found.commit_hash)
    headers = hub.utils.build_hf_headers(library_name="fastconv", library_version=__version__)
    lock = blob.parents[2] / ".locks" / blob.parents[1].name / f"{blob.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    # one process at a time; who waited finds the blob there
    with hub.utils.WeakFileLock(lock):
        if blob.exists():
            return
        with open(part, "ab") as file:
            for _ in range(ATTEMPTS):
                if found.size is not None and file.tell() > found.size:
                    file.seek(0)  # what was sent did not go on where the part ended
                    file.truncate()
                before = file.tell()
                try:
                    http_get(
                        url, file, resume_size=before, headers=headers, expected_size=found.size
                    )
                    break
                except Exception as error:
                    if file.tell() == before:
                        raise _unreachable(hub, address, url, error) from error
            else:
                raise _unreachable(hub, address, url, "it broke off again and again")
            file.flush()
            os.fsync(file.fileno())
        if not _is_right(part, found.etag):
            part.unlink()
            raise DownloadError(
                f"create_model: what {url} sent is not the file that it announced (checksum"
                f" {found.etag[:16]}...): it was thrown away; try again"
            )
        os.replace(part, blob)


def _is_right(path, etag):
    """Whether the file has the checksum that an etag of the hub is; other etags say nothing."""
    if re.fullmatch("[0-9a-f]{64}", etag):
        digest = hashlib.sha256()
    elif re.fullmatch("[0-9a-f]{40}", etag):
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        return True
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest() == etag


def _unreachable(hub, address, url, error):
    reason = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else error
    return DownloadError(
        f"create_model: {url} could not be had ({reason}), and the cache"
        f" {hub.constants.HF_HUB_CACHE} does not have it. "
        + _by_hand(address, hub.constants.ENDPOINT)
    )


def _by_hand(address, endpoint):
    file = f"{address.repo.rpartition('/')[2]}.safetensors"
    return (
        f"On a machine with network: curl -L -o {file}"
        f" {endpoint}/{address.repo}/resolve/{address.revision}/{FILES[0]}  (or: hf download"
        f" {address.repo} {FILES[0]} --local-dir .); then here: create_model(...,"
        f" pretrained={file!r})"
    )
