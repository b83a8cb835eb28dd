"""The gate: every pair of status and verb."""

import itertools

import pytest

from jobs.errors import IllegalTransition
from jobs.states import (
    ACTIVE,
    FULFILLED,
    TERMINAL,
    TRANSITIONS,
    Status,
    Verb,
    advance,
    legal_verbs,
)


@pytest.mark.parametrize(("status", "verb"), list(itertools.product(Status, Verb)))
def test_a_verb_either_leads_somewhere_or_is_refused_with_the_ones_that_fit(
    status: Status, verb: Verb
) -> None:
    if status in TRANSITIONS[verb]:
        assert advance(status, verb) is TRANSITIONS[verb][status]
    else:
        with pytest.raises(IllegalTransition, match=f"{status} cannot {verb}") as caught:
            advance(status, verb)
        assert list(caught.value.legal) == legal_verbs(status)


def test_a_terminal_job_is_left_only_by_a_retry() -> None:
    leaving = {
        verb
        for verb, moves in TRANSITIONS.items()
        if any(old in TERMINAL and new is not old for old, new in moves.items())
    }
    assert leaving == {Verb.RETRY}
    assert Status.SUCCEEDED not in TRANSITIONS[Verb.RETRY]


def test_only_a_claim_makes_a_job_active() -> None:
    for verb, moves in TRANSITIONS.items():
        for old, new in moves.items():
            assert new not in ACTIVE or old in ACTIVE or verb is Verb.CLAIM


def test_what_is_wanted_and_so_already_is_no_move() -> None:
    for verb, statuses in FULFILLED.items():
        assert not statuses & TRANSITIONS[verb].keys()
        assert statuses & set(TRANSITIONS[verb].values())


def test_every_status_can_still_end() -> None:
    reached = set(TERMINAL)
    for _ in Status:
        reached |= {
            old for moves in TRANSITIONS.values() for old, new in moves.items() if new in reached
        }
    assert reached == set(Status)
