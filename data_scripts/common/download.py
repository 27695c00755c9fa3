"""Fetching one file over https: resumed, checked, under its final name only when it is right."""

import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm.auto import tqdm
from urllib3.exceptions import HTTPError

from bmix_lite.base.errors import BmixError, require
from common.addresses import Session, find_page, hide, require_safe
from common.archives import FULL, locked, no_room

TIMEOUT = (10, 60)  # seconds without a connection, without a byte
WAIT = 0.5  # seconds before the first new try, doubled each time up to LONGEST_WAIT
LONGEST_WAIT = 30
CHUNK = 1 << 16
GZIP = b"\x1f\x8b"
HTML = re.compile(rb"[\s\xef\xbb\xbf]*<(!doctype|html|head|\?xml)", re.I)
BEGINNINGS = {"zip": b"PK", "npz": b"PK", "gz": GZIP, "tar.gz": GZIP, "tgz": GZIP}


def download(
    url, path, *, sha256=None, md5=None, expect="zip", headers=None, retries=5, progress=True
):
    """The file at `url` as `path`, which is returned.

    sha256, md5: hex digest of the content; without either only the size is checked, and a new
      process starts anew; md5 only against accidents, where the publisher gives no other
    expect: "zip", "npz", "gz", "tar.gz" or "tgz" must begin as such; else only HTML is refused
    headers: may hold a token; it goes only to the host of `url` and, like the query, into no
      message and no file
    Only https, or http on this machine. A `path` that is there is checked, never replaced.
    Raises BmixError with the address and what to do.
    """
    require_safe(url)
    path = Path(path)
    wanted = _read_digest(sha256, md5)
    if path.exists():
        return require_right(path, wanted)
    pooch.get_logger().setLevel("WARNING")  # it would write local paths into notebooks
    folder = path.with_name(f".{path.name}.part")
    part = folder / f"{path.name}.part"
    hashed = wanted is not None
    fetch = _Fetch(url, part, expect, headers or {}, retries, progress, hashed)
    try:
        with locked(path):
            if path.exists():  # another process was faster
                return require_right(path, wanted)
            try:
                fetch.retrieve(wanted, folder, path.name)
                os.replace(folder / path.name, path)
            finally:
                if not hashed or not part.exists():
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BmixError(no_room(path, fetch.total)) from error
    return path


def _read_digest(sha256, md5):
    """ "sha256:…" or "md5:…" in lower case, None without either; BmixError for another form."""
    digits = r"[0-9a-fA-F]"
    require(sha256 is None or re.fullmatch(digits + "{64}", sha256), "sha256 must be 64 hex digits")
    require(md5 is None or re.fullmatch(digits + "{32}", md5), "md5 must be 32 hex digits")
    if sha256:
        return f"sha256:{sha256.lower()}"
    return f"md5:{md5.lower()}" if md5 else None


@dataclass
class _Fetch:
    """Fills pooch's temporary file; bytes gather in `part`, which survives a killed process."""

    url: str
    part: Path
    expect: str
    headers: dict
    retries: int
    progress: bool
    hashed: bool
    total: int | None = None
    validator: str | None = None

    def retrieve(self, wanted, folder, name):
        """Have pooch fetch, hash and move; content wrong after a resume is fetched once more."""
        while True:
            resumed = self.part.exists()
            try:
                return pooch.retrieve(
                    hide(self.url), wanted, fname=name, path=folder, downloader=self
                )
            except BmixError:
                raise
            except ValueError as error:
                if not resumed:
                    raise BmixError(f"{hide(self.url)}: {error}") from None

    def __call__(self, url, output_file, caller):
        """Called by pooch, with the address that may be shown; fills `output_file` or raises."""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(WAIT * 2 ** (attempt - 1), LONGEST_WAIT))
            if not self.hashed and not self.validator:
                # nothing would tell two halves of different files
                self.part.unlink(missing_ok=True)
            fault = self._request()
            if fault is None:
                os.replace(self.part, output_file)
                return
        size = self._part_size()
        again = "; run it again to go on from there" if size and self.hashed else ""
        raise BmixError(
            f"{hide(self.url)}: {fault} after {self.retries + 1} tries,"
            f" {size / 1e6:.1f} MB are here{again}"
        )

    def _part_size(self):
        return self.part.stat().st_size if self.part.exists() else 0

    def _request(self):
        """One try; None when the part is complete, else the fault, without any of the address."""
        offset = self._part_size()
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.validator:
                headers["If-Range"] = self.validator
        options = {"headers": headers, "stream": True, "timeout": TIMEOUT}
        try:
            with Session(self.headers) as session, session.get(self.url, **options) as response:
                return self._check_status(response, offset) or self._store(response, offset)
        except (requests.RequestException, HTTPError) as error:
            return type(error).__name__
        except OSError:  # of the disk
            self.part.unlink(missing_ok=True)
            raise

    def _check_status(self, response, offset):
        """None where the content can be used, else a fault that another try may heal."""
        status = response.status_code
        if status in (408, 429) or status >= 500:
            return f"the server answers {status}"
        expected_range = {206: f"bytes {offset}-", 416: f"bytes */{offset}"}.get(status, "")
        if not response.headers.get("Content-Range", "").startswith(expected_range):
            self.part.unlink(missing_ok=True)
            return f"the server answers {status} for another range"
        if status in (200, 206, 416):
            return None
        address = hide(self.url)
        fault = f"{address}: the server answers {status}"
        if status in (401, 403):
            fault += (
                f": open {find_page(address)} in a browser, sign in and accept the rules of the"
                " data; where it wants a token, give a valid one in headers"
            )
        raise BmixError(fault)

    def _store(self, response, offset):
        if response.status_code == 416:  # every byte was here already
            return None
        offset = offset if response.status_code == 206 else 0
        tag = response.headers.get("ETag", "W/")
        self.validator = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
        length = response.headers.get("Content-Length", "")
        self.total = offset + int(length) if length.isdigit() else None
        if self.total and self.total - offset > shutil.disk_usage(self.part.parent).free:
            raise OSError(FULL[0], os.strerror(FULL[0]))
        chunks = response.raw.stream(CHUNK, decode_content=False)
        chunk = next(chunks, b"")
        if not offset:
            media_type = response.headers.get("Content-Type", "")
            _require_kind(hide(self.url), chunk, media_type, self.expect)
        bar = tqdm(
            total=self.total, initial=offset, unit="B", unit_scale=True, disable=not self.progress
        )
        with bar, open(self.part, "ab" if offset else "wb", buffering=0) as file:
            while chunk:
                file.write(chunk)
                bar.update(len(chunk))
                chunk = next(chunks, b"")
            os.fsync(file.fileno())
            size = file.tell()
        if self.total is not None and size != self.total:
            return f"{size} bytes came of {self.total}"
        return None


def _require_kind(address, first, media_type, expect):
    """Raise BmixError where the first bytes are not of the kind expected."""
    beginning = BEGINNINGS.get(expect, b"")
    if beginning and first.startswith(beginning):
        return
    if "html" in media_type.lower() or HTML.match(first[:200]):
        raise BmixError(
            f"{address}: got HTML, expected {expect}:"
            " open it in a browser to see what the page asks for"
        )
    if beginning:
        raise BmixError(f"{address}: expected {expect}, but it begins with {bytes(first[:8])!r}")


def require_right(path, wanted=None):
    """The path, if it is a file with the content `wanted`, else BmixError.

    wanted: "sha256:…" or "md5:…" in lower case
    """
    require(path.is_file(), f"{path} is there and is not a file")
    if wanted is None:
        return path
    kind = wanted.partition(":")[0]
    with path.open("rb") as file:
        content = f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
    if content != wanted:
        raise BmixError(
            f"{path} is there with another content, {content}, expected {wanted}: move it away"
        )
    return path
