import time
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.clock import FakeClock, SystemClock, format_time, parse_time


def test_times_are_printed_in_utc_with_microseconds():
    assert format_time(0) == "1970-01-01T00:00:00.000000Z"
    assert format_time(1_767_225_600.25) == "2026-01-01T00:00:00.250000Z"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00.000000Z"),
        ("2026-05-01T10:00:00.5+02:00", "2026-05-01T08:00:00.500000Z"),
        ("2026-05-01 10:00:00", "2026-05-01T10:00:00.000000Z"),
        ("2026-05-01", "2026-05-01T00:00:00.000000Z"),
        (1_767_225_600, "2026-01-01T00:00:00.000000Z"),
        (1_767_225_600.25, "2026-01-01T00:00:00.250000Z"),
        (1_767_225_600_250, "2026-01-01T00:00:00.250000Z"),
    ],
)
def test_what_transcripts_call_a_time_is_understood(text, wanted):
    assert parse_time(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2026-13-01", "9" * 99, "2026-05-01T25:00:00Z", "\ud800"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        *(None, True, [], {}, float("nan"), float("inf"), 1e300),
    ],
)
def test_what_is_no_time_is_none_and_raises_nothing(text):
    assert parse_time(text) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_any_value_is_a_time_or_none_and_a_time_read_again_is_the_same(value):
    found = parse_time(value)
    assert found is None or parse_time(found) == found


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_has_one_name(moment):
    assert parse_time(moment.isoformat()) in (None, format_time_of(moment))


def format_time_of(moment):
    plain = moment.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(timespec="microseconds") + "Z"


def test_the_fake_clock_stands_still_until_it_is_moved():
    clock = FakeClock(100.0)
    assert (clock.now(), clock.monotonic()) == (100.0, 0.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (102.5, 2.5)


def test_the_system_clock_is_the_machines():
    clock = SystemClock()
    before, start = time.time(), time.monotonic()
    assert before <= clock.now() <= time.time()
    assert start <= clock.monotonic() <= time.monotonic()
