import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bmix_lite.base.errors import BmixError
from common.download import download
from server import send, serve

CONTENT = b"PK" + bytes(range(256)) * 3000
SHA = hashlib.sha256(CONTENT).hexdigest()
QUIET = dict(progress=False)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("common.download.WAIT", 0.01)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sha256", [SHA, SHA.upper(), None])
def test_a_file_comes_whole_and_alone(tmp_path, sha256):
    with serve(lambda request: send(request, CONTENT)) as (url, seen):
        assert (
            download(f"{url}/a.zip", tmp_path / "a.zip", sha256=sha256, **QUIET).read_bytes()
            == CONTENT
        )
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=sha256, **QUIET)
    assert len(seen) == 1
    assert leftovers(tmp_path) == ["a.zip"]


def test_a_cut_connection_is_taken_up_where_it_ended(tmp_path):
    cuts = [300_000, 300_000, None]
    with serve(lambda request: send(request, CONTENT, cut=cuts.pop(0), ETag='"one"')) as (
        url,
        seen,
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert "Range" not in seen[0][1]
    assert all(int(headers["Range"].split("=")[1][:-1]) > 0 for _, headers in seen[1:])


def test_a_server_that_ignores_ranges_is_read_from_the_start(tmp_path):
    cuts = [300_000, None]
    with serve(lambda request: send(request, CONTENT, cut=cuts.pop(0), ranges=False)) as (url, _):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_connection_that_is_always_cut_ends_in_words_and_leaves_no_file(tmp_path):
    with (
        serve(lambda request: send(request, CONTENT, cut=1000)) as (url, seen),
        pytest.raises(BmixError, match=r"after 3 tries"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, retries=2, **QUIET)
    assert len(seen) == 3
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("media", ["text/html", "application/zip"])
def test_a_page_instead_of_an_archive_is_refused(tmp_path, media):
    page = b"<!DOCTYPE html><html>please sign in</html>"
    with (
        serve(lambda request: send(request, page, Content_Type=media)) as (url, _),
        pytest.raises(BmixError, match="got HTML, expected zip"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", **QUIET)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_page_where_rules_are_accepted(tmp_path, status):
    with (
        serve(lambda request: send(request, b"no", status=status)) as (url, seen),
        pytest.raises(
            BmixError, match=rf"{url}/a.zip: the server answers {status}: open .* accept the rules"
        ),
    ):
        download(f"{url}/a.zip?token=secret", tmp_path / "a.zip", **QUIET)
    assert len(seen) == 1
    assert leftovers(tmp_path) == []


def test_a_missing_file_is_not_asked_for_again_and_a_busy_server_is(tmp_path):
    with (
        serve(lambda request: send(request, b"no", status=404)) as (url, seen),
        pytest.raises(BmixError, match="answers 404"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", **QUIET)
    assert len(seen) == 1
    states = [503, 429, 200]
    with serve(lambda request: send(request, CONTENT, status=states.pop(0))) as (url, _):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_other_content_of_the_right_size_is_refused(tmp_path):
    wrong = CONTENT[:-1] + b"x"
    with (
        serve(lambda request: send(request, wrong)) as (url, _),
        pytest.raises(BmixError, match=f"{url}/a.zip"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert leftovers(tmp_path) == []


def test_a_file_that_is_there_with_other_content_is_refused_and_kept(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(BmixError, match=r"is there with another content.*move it away"):
        download("https://example.invalid/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a.zip", "ftp://127.0.0.1/a", "file:///etc/passwd", "a.zip", "https://"],
)
def test_only_https_is_fetched(tmp_path, url):
    with pytest.raises(BmixError, match="only https is fetched"):
        download(url, tmp_path / "a.zip", **QUIET)


def test_a_redirect_to_plain_http_elsewhere_is_refused(tmp_path):
    with (
        serve(
            lambda request: send(request, b"", status=302, Location="http://example.org/a.zip")
        ) as (url, _),
        pytest.raises(BmixError, match=r"redirects to http://example\.org/a\.zip: only https"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", **QUIET)


def test_tokens_reach_the_server_and_nothing_else(tmp_path, capfd):
    with (
        serve(lambda request: send(request, b"no", status=403)) as (url, seen),
        pytest.raises(BmixError) as caught,
    ):
        download(
            f"{url}/a.zip?key=SECRET1", tmp_path / "a.zip", headers={"X-Key": "SECRET2"}, **QUIET
        )
    assert seen[0][1]["X-Key"] == "SECRET2"
    out = str(caught.value) + "".join(capfd.readouterr())
    assert "SECRET" not in out


def test_two_at_once_both_get_the_one_file(tmp_path):
    def slow(request):
        time.sleep(0.1)
        send(request, CONTENT)

    with serve(slow) as (url, seen):
        get = dict(args=(f"{url}/a.zip", tmp_path / "a.zip"), kwargs=dict(sha256=SHA, **QUIET))
        threads = [threading.Thread(target=download, **get) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert len(seen) == 1
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["a.zip"]


def test_a_killed_download_is_taken_up_by_the_next_process(tmp_path):
    hold = threading.Event()

    def stall(request):
        if hold.is_set():
            send(request, CONTENT)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:400_000])
        request.wfile.flush()
        hold.wait(20)

    with serve(stall) as (url, seen):
        target = tmp_path / "a.zip"
        call = f"download({url + '/a.zip'!r}, {str(target)!r}, sha256={SHA!r}, progress=False)"
        child = subprocess.Popen(
            [sys.executable, "-c", f"from common.download import download; {call}"]
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not any(
            p.stat().st_size for p in tmp_path.rglob("*.part") if p.is_file()
        ):
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        hold.set()
        assert not target.exists()
        download(f"{url}/a.zip", target, sha256=SHA, **QUIET)
    assert target.read_bytes() == CONTENT
    assert "Range" in seen[-1][1]
    assert leftovers(tmp_path) == ["a.zip"]


def test_a_full_disk_is_named_with_the_room_that_is_needed(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("common.download.shutil.disk_usage", lambda path: usage)
    with (
        serve(lambda request: send(request, CONTENT)) as (url, _),
        pytest.raises(BmixError, match=r"no room on the disk: 0\.8 MB needed, 0\.0 MB free"),
    ):
        download(f"{url}/a.zip", tmp_path / "a.zip", sha256=SHA, **QUIET)
    assert leftovers(tmp_path) == []


def test_an_md5_is_enough_to_refuse_other_content_and_to_take_up_a_cut_file(tmp_path):
    md5, cuts = hashlib.md5(CONTENT).hexdigest(), [300_000, None]
    with serve(lambda request: send(request, CONTENT, cut=cuts.pop(0))) as (url, seen):
        download(f"{url}/a.zip", tmp_path / "a.zip", md5=md5.upper(), **QUIET)
    assert "Range" in seen[1][1]
    (tmp_path / "a.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(
        BmixError, match=rf"another content, md5:\w+, expected md5:{md5}: move it away"
    ):
        download("https://example.invalid/a.zip", tmp_path / "a.zip", md5=md5, **QUIET)
    with pytest.raises(BmixError, match="md5 must be 32 hex digits"):
        download("https://example.invalid/a.zip", tmp_path / "a.zip", md5="abc", **QUIET)


@pytest.mark.skipif(
    sys.platform != "linux", reason="the limit on the size of a file stands for a full disk"
)
def test_a_disk_that_fills_up_on_the_way_is_named_and_nothing_is_left(tmp_path):
    code = (
        "import resource, signal, sys\nfrom common.download import download\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "download(sys.argv[1], sys.argv[2], sha256=sys.argv[3], progress=False)\n"
    )
    with serve(lambda request: send(request, CONTENT)) as (url, _):
        command = [sys.executable, "-c", code, f"{url}/a.zip", tmp_path / "a.zip", SHA]
        done = subprocess.run(command, capture_output=True, text=True)
    assert "a.zip: no room on the disk: 0.8 MB needed" in done.stderr
    assert leftovers(tmp_path) == []
