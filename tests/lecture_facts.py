"""The checklist tests/data/lecture_facts.md: which test asserts which of its facts.

A fact is a line of the list, known by a few words of it; @fact marks a test as its proof and names
the lectures by their files. tests/test_lectures_complete.py counts.
"""

import re

from tests.model_facts import DATA

MELBOURNE = "000_0fc4144e4a0eed17.txt"
SHARIF = "001_95958c5555d9da07.txt"
CS231N = "002_1c84a90f2dba812f.txt"
COMP5329 = "003_9599a133453ac12a.txt"
WANG = "004_86894d692d582ad4.txt"

_FILE = (DATA / "lecture_facts.md").read_text()
_LIST, _NAMED = _FILE.split("## Named without figures\n")
# the last section is one paragraph
FACTS = [line for line in _LIST.split("\n") if line.startswith("- ")] + [_NAMED.strip()]

ASSERTED = {}  # fact -> names of the tests


def find(words):
    """The one fact that has these words."""
    (found,) = [f for f in FACTS if words in f]
    return found


def lectures_of(fact):
    """File numbers that a fact names."""
    return set(re.findall(r"(?<![\d,.])00[0-4](?!\d|,\d)", fact))


def fact(words, *lectures):
    """Decorator of the test that asserts the fact with these words, of these lectures (files)."""
    found = find(words)
    assert {file[:3] for file in lectures} == lectures_of(found), found

    def mark(test):
        ASSERTED.setdefault(found, []).append(test.__name__)
        return test

    return mark
