import hashlib
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import ids

MESSAGE = ("default", "s", 3, 0, b"{}")


def test_ids_do_not_change_between_versions():
    """A new derivation would give every old message and task a second identity."""
    assert ids.message_id(*MESSAGE) == "6e672456-f407-5943-88db-f106da0c501b"
    assert ids.task_id("default", "s", 1) == "464911c3-91bf-5864-9228-e65a24101445"
    assert ids.batch_id("spaces/default/sessions/s.jsonl", 0, 2, b"{}") == "6b03cdd15adc7265"


def test_message_and_task_ids_are_uuids_of_version_5():
    for text in (ids.message_id(*MESSAGE), ids.task_id("default", "s", 0)):
        assert UUID(text).version == 5


def test_every_part_of_the_place_and_the_content_make_an_id_another():
    others = [
        ("other", "s", 3, 0, b"{}"),
        ("default", "t", 3, 0, b"{}"),
        ("default", "s", 4, 0, b"{}"),
        ("default", "s", 3, 1, b"{}"),
        ("default", "s", 3, 0, b"{} "),
    ]
    found = {ids.message_id(*parts) for parts in [MESSAGE, *others]}
    assert len(found) == 6
    tasks = [("a", "s", 0), ("a", "s", 1), ("a", "t", 0), ("b", "s", 0)]
    assert len({ids.task_id(*parts) for parts in tasks}) == 4
    batches = [("p", 0, 1, b"x"), ("q", 0, 1, b"x"), ("p", 1, 1, b"x"), ("p", 0, 2, b"x")]
    assert len({ids.batch_id(*parts) for parts in [*batches, ("p", 0, 1, b"y")]}) == 5


@given(st.text(), st.text(), st.integers(1, 10**9), st.integers(0, 99), st.binary())
def test_a_message_id_is_a_version_5_uuid_of_its_place(space, session_id, line, index, data):
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    name = f"message/{space}/{session_id}/{line}/{index}/{digest}"
    assert ids.message_id(space, session_id, line, index, data) == str(uuid5(ids.NAMESPACE, name))
