"""What the repository must not contain: paths of somebody's machine, hosts of package registries.

Either would work for its writer and fail, or tell too much, everywhere else. The patterns are
put together from parts so that this file does not contain what it looks for.
"""

from __future__ import annotations

import re

import pytest

from scripts.secret_scan import ROOT, files

# A path begins where no name or address goes on: example.org/work/ is an address, not a path.
MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:root|work)/|(?<![\w.~}/-])/(?:home|Users)/\w")
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("npmmirror", "com"),
        ("pypi", "tuna", "tsinghua"),
        ("mirrors", "aliyun", "com"),
        ("mirrors", "cloud", "tencent"),
        ("proxy", "golang", "org"),
        ("jfrog", "io"),
    )
]
REGISTRY = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS))
FORBIDDEN = {"a machine's path": MACHINE_PATH, "a package registry's host": REGISTRY}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found, f"{what} in:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("cd /" + "work/main", "a machine's path"),
        ("#!/" + "root/bin/python", "a machine's path"),
        ('path = "/' + 'home/ann/x"', "a machine's path"),
        ("https://files.python" + "hosted.org/x.whl", "a package registry's host"),
        ('"resolved": "https://registry.npm' + 'js.org/x.tgz"', "a package registry's host"),
    ],
)
def test_the_patterns_find_what_they_are_for(line: str, what: str) -> None:
    assert FORBIDDEN[what].search(line)


@pytest.mark.parametrize(
    "line", ["https://example.org/work/1", "docs/work/plan.md", "from ${x}/root/y", "/workers/"]
)
def test_the_patterns_leave_the_rest_alone(line: str) -> None:
    assert not any(pattern.search(line) for pattern in FORBIDDEN.values())
