"""Which addresses may be fetched, and how they are shown: without the tokens in them."""

import re
from urllib.parse import urlsplit

from bmix_lite.base.errors import require

LOCAL = ("127.0.0.1", "localhost")
KAGGLE = {  # path of its API: page where the rules of what it serves are accepted
    r"/api/v1/datasets/download/([^/]+/[^/]+)": "datasets/{}",
    r"/api/v1/competitions/data/download(?:-all)?/([^/]+)": "competitions/{}/rules",
}


def require_safe(url, after=""):
    """Raise BmixError unless `url` is https, or http on this machine.

    after: the address that redirected here; from https it must not lead to http
    """
    require(
        isinstance(url, str) and not re.search(r"[\s\\]", url),
        "a URL is text without blanks and backslashes",
    )
    try:
        parts = urlsplit(url)
        local = (
            parts.scheme == "http" and parts.hostname in LOCAL and not after.startswith("https:")
        )
        known = parts.hostname and (parts.scheme == "https" or local)
    except ValueError:
        known = False
    origin = f"{hide(after)} redirects to " if after else ""
    require(
        known,
        f"{origin}{hide(url)}: only https is fetched, and http only from {' or '.join(LOCAL)}",
    )


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
        found = re.match(r"https://(?:www\.)?kaggle\.com" + pattern, shown)
        if found:
            return "https://www.kaggle.com/" + page.format(found[1])
    return shown
