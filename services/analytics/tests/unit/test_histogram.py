"""Histograms add up exactly, and their percentiles are within 1.6 % of the exact ones."""

from collections import Counter
from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.analytics.rollups.histogram import bounds_of, bucket_of, percentile

VALUES = st.integers(0, 2**62)
DURATIONS = st.lists(st.integers(0, 10**9), min_size=1, max_size=300)


@given(VALUES)
def test_a_value_is_within_the_bounds_of_its_bucket(value) -> None:
    lowest, highest = bounds_of(bucket_of(value))

    assert lowest <= value <= highest
    assert highest - lowest < max(1, lowest / 32 + 1)


@given(VALUES)
def test_buckets_follow_each_other_without_gap_or_overlap(value) -> None:
    bucket = bucket_of(value)

    assert bounds_of(bucket + 1)[0] == bounds_of(bucket)[1] + 1


@given(VALUES, VALUES)
def test_larger_values_are_not_in_smaller_buckets(one, other) -> None:
    assert (bucket_of(one) <= bucket_of(other)) or one > other


def test_small_values_are_exact_and_the_number_of_buckets_stays_small() -> None:
    assert [bounds_of(bucket_of(value)) for value in range(64)] == [(value, value) for value in range(64)]
    assert bucket_of(24 * 3600 * 10**6) < 1100  # a day in microseconds


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    assert bucket_of(-5) == bucket_of(0) == 0


def nearest_rank(values, percent):
    return sorted(values)[max(1, -(-len(values) * percent // 100)) - 1]


@given(DURATIONS, st.integers(0, 100))
def test_percentiles_are_close_to_the_exact_ones(durations, percent) -> None:
    exact = nearest_rank(durations, percent)

    assert abs(percentile(Counter(map(bucket_of, durations)), percent) - exact) <= exact / 64


@given(DURATIONS)
def test_percentiles_grow(durations) -> None:
    histogram = Counter(map(bucket_of, durations))

    assert percentile(histogram, 50) <= percentile(histogram, 95) <= percentile(histogram, 99)


@given(DURATIONS, DURATIONS)
def test_a_merged_histogram_is_that_of_all_values(one, other) -> None:
    merged = Counter(map(bucket_of, one)) + Counter(map(bucket_of, other))

    assert merged == Counter(map(bucket_of, [*one, *other]))


def test_the_median_of_exact_buckets_is_exact() -> None:
    values = [5, 1, 40, 40, 63]

    assert percentile(Counter(map(bucket_of, values)), 50) == median_low(values)


def test_nothing_has_no_percentiles() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile({}, 50)
