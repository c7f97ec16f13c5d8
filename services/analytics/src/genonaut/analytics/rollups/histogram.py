"""Histograms of durations, in integers only, so that they add up exactly in any order.

Buckets are log-linear: below 64 one for each value, above that 32 for each doubling, so a bucket is at most 1/32
(3 %) of its values wide and its middle at most 1/64 (1.6 %) away from any of them. The unit is the caller's.
"""

from collections.abc import Mapping

SUBDIVISIONS = 32
_BITS = SUBDIVISIONS.bit_length()


def bucket_of(value: int) -> int:
    """The bucket of a value; larger values have larger buckets. Of a clock set back, that of 0."""
    shift = max(0, value.bit_length() - _BITS)
    return shift * SUBDIVISIONS + (value >> shift) if value > 0 else 0


def bounds_of(bucket: int) -> tuple[int, int]:
    """The smallest and the largest value of a bucket."""
    shift = max(0, bucket // SUBDIVISIONS - 1)
    lowest = (bucket - shift * SUBDIVISIONS) << shift
    return lowest, lowest + (1 << shift) - 1


def percentile(histogram: Mapping[int, int], percent: int) -> float:
    """The nearest-rank percentile, as the middle of its bucket. `histogram` is counts by bucket, and not empty."""
    rank = max(1, -(-sum(histogram.values()) * percent // 100))
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank <= 0:
            return sum(bounds_of(bucket)) / 2
    raise ValueError("nothing has no percentiles")
