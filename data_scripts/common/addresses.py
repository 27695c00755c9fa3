"""Which addresses may be fetched, who gets their tokens, and how they are shown: without tokens."""

import re
from urllib.parse import urljoin, urlsplit

import requests

from bmix_lite.base.errors import BmixError

LOCAL = ("127.0.0.1", "localhost")
KAGGLE = {  # path of its API: page where the rules of what it serves are accepted
    r"/api/v1/datasets/download/([^/]+/[^/]+)": "datasets/{}",
    r"/api/v1/competitions/data/download(?:-all)?/([^/]+)": "competitions/{}/rules",
}


def require_safe(url, after=""):
    """Raise BmixError unless `url` is https, or http on this machine.

    after: the address that redirected here; from https it must not lead to http
    """
    if not isinstance(url, str) or re.search(r"[\s\\]", url):
        raise BmixError("a URL is text without blanks and backslashes")
    if not _is_safe(url, after):
        origin = f"{hide(after)} redirects to " if after else ""
        rule = f"only https is fetched, and http only from {' or '.join(LOCAL)}"
        raise BmixError(f"{origin}{hide(url)}: {rule}")


def _is_safe(url, after):
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and host in LOCAL and not after.startswith("https:")


def hide(url):
    """The address without user, password, query and fragment, where tokens are."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "a malformed URL"


def find_page(shown):
    """The page to open where an address is refused: of Kaggle, where its rules are accepted."""
    for pattern, page in KAGGLE.items():
        match = re.match(r"https://(?:www\.)?kaggle\.com" + pattern, shown)
        if match:
            return "https://www.kaggle.com/" + page.format(match[1])
    return shown


class Session(requests.Session):
    """A session that follows only safe redirects, and takes private headers to one host only."""

    def __init__(self, private_headers):
        super().__init__()
        self.private_headers = private_headers

    def get_redirect_target(self, response):
        target = super().get_redirect_target(response)
        if target is not None:
            require_safe(urljoin(response.url, target), after=response.url)
        return target

    def rebuild_auth(self, prepared_request, response):
        # requests itself drops Authorization only, not headers such as X-API-Key
        if self.should_strip_auth(response.request.url, prepared_request.url):
            for name in self.private_headers:
                prepared_request.headers.pop(name, None)
        super().rebuild_auth(prepared_request, response)
