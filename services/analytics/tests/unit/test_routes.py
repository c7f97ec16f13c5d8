"""Requests are grouped by normalised pattern and counted alike in any order."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.analytics.rollups.histogram import bucket_of
from genonaut.analytics.routes.domain import (
    Cell,
    Pattern,
    Request,
    Tally,
    is_measured,
    normalised,
    pattern_id,
    roll_up,
)
from genonaut.contracts.gateway import RequestServed
from genonaut.testkit.envelopes import enveloped

HOUR = datetime(2026, 1, 2, 3, tzinfo=UTC)
ADA = UUID(int=1)


def request(served, *, number=1, time=HOUR) -> Request:
    return Request.of(served, enveloped(served, id=UUID(int=number), time=time))


def served(**changes) -> RequestServed:
    usual = {"method": "GET", "route": "/api/v1/content/{id}", "status_code": 200, "duration_us": 1834}
    return RequestServed(**(usual | changes))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({"page": "2", "offset": "1", "limit": "9", "skip": "4", "cursor": "abc"}, {}),
        ({"sort": "created_at", "page_size": "10", "page": "3"}, {"page_size": "10", "sort": "created_at"}),
        ({"user_id": "7"}, {"user_id": "*"}),
        ({"search_term": "cat"}, {"search_term": "*"}),
        ({"tag_ids": ["1", "2"]}, {"tag_ids": "*"}),
        ({"tag": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01"}, {"tag": "*"}),
        ({"tag": ["cat", "7D0C1C6E1F7A4C559B0E2F4F5C1F8A01"]}, {"tag": "*"}),
        ({"tag": ["b", "a"]}, {"tag": ["a", "b"]}),
        ({"note": "x" * 65}, {"note": "*"}),
        ({"note": "x" * 64}, {"note": "x" * 64}),
        ({"deep": {"b": 1, "a": None}, "n": 3}, {"deep": '{"a":null,"b":1}', "n": "3"}),
    ],
)
def test_parameters_are_normalised(given, kept) -> None:
    assert normalised(given) == kept


@pytest.mark.parametrize(("status", "kept"), [(200, "7"), (404, "7"), (503, "7"), (400, "*"), (422, "*")])
def test_refused_values_make_no_patterns(status, kept) -> None:
    cell = request(served(status_code=status, query_params={"page_size": "7", "page": "x"})).cell

    assert cell.pattern.params == f'{{"page_size":"{kept}"}}'


def test_normalised_parameters_are_sorted() -> None:
    assert list(normalised({"b": "1", "a": "2", "c": "3"})) == ["a", "b", "c"]


def test_pages_of_one_list_are_one_pattern() -> None:
    pages = [served(query_params={"page": str(page), "page_size": "10"}) for page in range(3)]

    assert len({request(page).cell for page in pages}) == 1


def test_a_pattern_keeps_its_id_for_ever() -> None:
    pattern = Pattern("GET", "/api/v1/content/unified", '{"page_size":"10"}')

    assert pattern_id(pattern) == UUID("14022cc4-729b-5165-bf98-9e1681aa0bef")
    assert len({pattern_id(Pattern(*parts)) for parts in (("a", "b", "c"), ("a", "bc", ""), ("ab", "", "c"))}) == 3


def test_only_the_api_is_measured() -> None:
    assert is_measured(served())
    assert not any(is_measured(served(route=route)) for route in ("/health", "/docs", "unmatched", "/apix", ""))


def test_the_hour_is_that_of_the_event() -> None:
    last = HOUR + timedelta(minutes=59, seconds=59, microseconds=999999)

    assert request(served(), time=last).cell.hour == HOUR
    assert request(served(), time=last + timedelta(microseconds=1)).cell.hour == HOUR + timedelta(hours=1)


def test_requests_are_tallied() -> None:
    requests = [
        request(served(status_code=status, duration_us=status, user_id=user, request_bytes=1, response_bytes=2))
        for status, user in ((200, ADA), (304, ADA), (404, None), (499, None), (500, ADA), (504, UUID(int=2)))
    ]

    rollup = roll_up(requests)

    cell = Cell(HOUR, Pattern("GET", "/api/v1/content/{id}", "{}"))
    assert rollup.tallies == {cell: Tally(6, 2, 2, 2, 200 + 304 + 404 + 499 + 500 + 504, 6, 12)}
    assert rollup.users == {(cell, ADA), (cell, UUID(int=2))}
    assert rollup.durations[cell, bucket_of(304)] == 1
    assert rollup.durations.total() == 6


SERVED = st.builds(
    RequestServed,
    method=st.sampled_from(["GET", "POST"]),
    route=st.sampled_from(["/api/v1/content/{id}", "/api/v1/tags"]),
    status_code=st.sampled_from([200, 302, 404, 500]),
    duration_us=st.integers(0, 10**7),
    user_id=st.none() | st.builds(UUID, int=st.integers(1, 4)),
    query_params=st.dictionaries(st.sampled_from(["page", "sort", "user_id", "tag"]), st.sampled_from(["1", "a"])),
)
REQUESTS = st.lists(st.tuples(SERVED, st.integers(0, 3 * 3600 * 10**6)), max_size=40).map(
    lambda events: [
        request(event, number=number, time=HOUR + timedelta(microseconds=offset))
        for number, (event, offset) in enumerate(events)
    ]
)


def counted(rollup) -> Counter:
    """All numbers of a rollup by name, so that rollups can be added."""
    numbers = Counter(rollup.durations)
    for cell, tally in rollup.tallies.items():
        for name in Tally.__slots__:
            numbers[cell, name] += getattr(tally, name)
    return numbers


@given(REQUESTS, st.randoms(use_true_random=False))
def test_no_order_changes_a_rollup(requests, random) -> None:
    shuffled = random.sample(requests, len(requests))

    assert roll_up(shuffled) == roll_up(requests)


@given(REQUESTS, st.integers(0, 40))
def test_the_rollups_of_batches_add_up_to_that_of_all(requests, cut) -> None:
    first, second, everything = roll_up(requests[:cut]), roll_up(requests[cut:]), roll_up(requests)

    assert +(counted(first) + counted(second)) == +counted(everything)
    assert first.users | second.users == everything.users


def test_a_request_that_never_got_an_answer_is_no_success() -> None:
    tally = Tally()

    tally.add(served(status_code=0))

    assert (tally.total_requests, tally.successful_requests, tally.server_errors) == (1, 0, 1)
