"""Whatever happens to a file and to us: every record of it is in the store, once, in order."""

from __future__ import annotations

import uuid
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.daemon.capturing import Capturing, talk

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(1, 9)),
        st.tuples(st.just("shrink"), st.integers(0, 5)),
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.just("forget"), st.just(0)),
        st.tuples(st.just("replace"), st.just(0)),
        st.tuples(st.just("tear the store"), st.integers(1, 400)),
        st.tuples(st.just("open end"), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_record_is_stored_once_and_in_order(store, tmp_path: Path, steps) -> None:
    session = str(uuid.uuid4())
    every = talk(120, session, salt=session)
    own = Capturing(store, tmp_path / session)
    path = own.write(f"{session}.jsonl", [])
    length = 0
    kept: set[bytes] = set()
    for step, number in steps:
        if step == "grow":
            length += number
        elif step == "shrink":
            length = min(length, number)
        if step == "replace":
            path.unlink()
        data = b"".join(every[:length])
        path.write_bytes(data[:-1] if step == "open end" else data)
        if step == "tear the store":
            kept.clear()
            for stored in store.root.glob(f"spaces/*/sessions/**/{session}*.jsonl"):
                whole = stored.read_bytes()
                stored.write_bytes(whole[: max(0, len(whole) - number)])
            own.start()
        elif step == "crash":
            own.start()
        elif step == "forget":
            own.forget()
        elif step in ("take", "open end"):
            own.take()
            kept |= set(every[:length])
    path.write_bytes(b"".join(every[:length]))
    own.take()
    kept |= set(every[:length])
    if not kept:
        return
    found = [line for line in own.lines(session) if line in every]
    assert [line for line in every if line in found] == found, "in order, and none twice"
    assert kept <= set(found)
