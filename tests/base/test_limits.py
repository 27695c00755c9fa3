import resource

import pytest

from bmix_lite.base import limits
from bmix_lite.base.errors import BmixError
from bmix_lite.base.limits import BASE, PER_KERNEL, require_files


@pytest.fixture
def limit(monkeypatch):
    """The limits of this process, made up: [soft, hard]."""
    values = [1024, 1024]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(values))
    monkeypatch.setattr(
        resource, "setrlimit", lambda kind, pair: values.__setitem__(slice(2), pair)
    )
    return values


def test_a_usual_limit_is_left_alone(limit):
    require_files(4)
    assert limit == [1024, 1024]


@pytest.mark.parametrize("hard", [4096, resource.RLIM_INFINITY])
def test_a_soft_limit_is_raised_as_far_as_it_is_needed(limit, hard):
    limit[:] = 64, hard
    require_files(4)
    assert limit == [BASE + 4 * PER_KERNEL, hard]


def test_no_limit_is_enough(limit):
    limit[:] = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    require_files(1000)


@pytest.mark.parametrize(
    ("hard", "words"),
    [
        (
            64,
            r"Too many open files: 4 kernels at a time need about 192, this shell allows",
        ),
        (160, r"this shell allows 160: `ulimit -n 192` first, or jobs=3$"),
        (100, r"`ulimit -n 192` first$"),  # not even one
    ],
)
def test_a_hard_limit_is_said_with_both_ways_out(limit, hard, words):
    limit[:] = 64, hard
    with pytest.raises(BmixError, match=words):
        require_files(4)


def test_a_system_without_such_a_limit_has_none(monkeypatch):
    monkeypatch.setitem(limits.__builtins__, "__import__", refuse_resource(__import__))
    require_files(4)


def refuse_resource(real):
    def find(name, *rest, **named):
        if name == "resource":
            raise ImportError(name)
        return real(name, *rest, **named)

    return find
