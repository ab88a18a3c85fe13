"""`freshline dead-letters` on real letters of real workers, and the letterbox on a topic as a cluster may leave it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.dead_letters import DeadLetter, Reason
from schemas.headers import ATTEMPTS, FORCE, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TIMESTAMP, VIEW
from stream.letterbox import Filed, Letterbox, LetterboxError, Unreadable
from stream.publisher import PRODUCER, PublishError
from stream.redrive import Redriver
from stream.resend import Resender
from tests.harness import Installation, draw, eventually, freshline, listing


@pytest.fixture
def box(shop: Installation) -> Iterator[Letterbox]:
    with Letterbox(shop.settings.kafka(), shop.settings.topics.dead_letters) as opened:
        yield opened


def put(box: Letterbox, *letters: DeadLetter) -> None:
    for each in letters:
        box.put(each.record_key, each.model_dump_json().encode())
    box.flush()


def standing(box: Letterbox) -> dict[str, DeadLetter]:
    return {entry.letter.product: entry.letter for entry in box.read() if isinstance(entry, Filed)}


# --- the commands on what workers gave up on ------------------------------------------------------------------------


def asked(shop: Installation, *arguments: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = shop.run("dead-letters", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def given_up(shop: Installation, tmp_path: Path) -> Iterator[None]:
    """Letters of four products: two for missing pictures, one for no JSON, one for an event that lacks a field."""
    good = draw(tmp_path / "good.jpg", 1)
    for name in ("first", "second"):
        shop.publish(listing(name, [good, (tmp_path / f"{name}.jpg").as_uri()]))
    producer = Producer(shop.settings.kafka().librdkafka() | PRODUCER)
    producer.produce(shop.settings.topics.events, key=b"garbage", value=b"\x1b[31m no JSON", headers={"trace": b"7"})
    producer.produce(shop.settings.topics.events, key=b"incomplete", value=b'{"product_id": "incomplete"}')
    producer.flush()
    with shop.worker() as worker:
        eventually(shop.caught_up, what="all events settled")
        assert worker.stop() == 0
    yield


def replayed(shop: Installation) -> list[Message]:
    """What stands on the replay topic, by key."""
    topic = shop.settings.topics.replay
    ends = {number: high for number, (low, high) in shop.watermarks(topic).items() if high > low}
    found: list[Message] = []
    shop.consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    while len(found) < sum(ends.values()):
        message = shop.consumer.poll(10)
        assert message is not None
        if not message.error():
            found.append(message)
    shop.consumer.unassign()
    return sorted(found, key=lambda message: message.key() or b"")


def test_letters_are_listed_shown_and_exported_as_they_are(shop: Installation, tmp_path: Path) -> None:
    with given_up(shop, tmp_path):
        listed = asked(shop, "list")
        assert listed["counts"] == {"image_missing": 2, "invalid_json": 1, "invalid_event": 1}
        assert listed["total"] == len(listed["letters"]) == 4
        assert listed["unreadable"]["count"] == 0
        times = [entry["time"] for entry in listed["letters"]]
        assert times == sorted(times, reverse=True)

        both = _letters(shop, "--reason", "invalid_json", "--reason", "invalid_event", "--since", "1h")
        assert {entry["product_id"] for entry in both} == {"garbage", "incomplete"}
        assert _letters(shop, "--until", "1h") == []
        assert asked(
            shop, "list", "--limit", "1", "--view", shop.view, "--lane", "live", "--not-redriven"
        ) == listed | {"letters": listed["letters"][:1]}

        garbage = next(entry for entry in both if entry["product_id"] == "garbage")
        found = asked(shop, "show", garbage["key"])
        assert found["record"] == {"key": "garbage", "headers": [["trace", "7"]], "value": "\x1b[31m no JSON"}
        assert "publisher" in found["advice"]
        table = shop.run("dead-letters", "list").stdout
        page = shop.run("dead-letters", "show", "garbage").stdout
        assert "image_missing" in table
        assert "\\x1b[31m no JSON" in page
        assert "\x1b[31m no JSON" not in page + table

        file = tmp_path / "letters.jsonl"
        assert shop.run("dead-letters", "export", str(file), "--reason", "image_missing").returncode == 0
        piped = shop.run("dead-letters", "export", "-", "--reason", "image_missing").stdout
        exported = [DeadLetter.model_validate_json(line) for line in file.read_text().splitlines()]
        assert sorted(file.read_text().splitlines()) == sorted(piped.splitlines())
        expected = [letter for letter in shop.dead_letters() if letter.reason is Reason.IMAGE_MISSING]
        assert sorted(exported, key=_key) == sorted(expected, key=_key)


def _key(letter: DeadLetter) -> bytes:
    return letter.record_key


def _letters(shop: Installation, *filters: str) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = asked(shop, "list", *filters)["letters"]
    return letters


def test_redriving_sends_once_marks_and_completes_what_can_be_completed(
    shop: Installation, box: Letterbox, tmp_path: Path
) -> None:
    with given_up(shop, tmp_path):
        chosen = ("--reason", "image_missing", "--reason", "invalid_json")
        planned = asked(shop, "redrive", *chosen, "--until", "0s", "--dry-run")
        assert planned["counts"] == {"image_missing": 2, "invalid_json": 1}
        assert replayed(shop) == []

        before = {letter.product: letter for letter in shop.dead_letters()}
        assert asked(shop, "redrive", *chosen) == planned | {"dry_run": False}
        sent = replayed(shop)
        assert [message.key() for message in sent] == [b"first", b"garbage", b"second"]
        for message in sent:
            letter = before[(message.key() or b"").decode()]
            assert message.value() == letter.value
            assert dict(message.headers() or []) == {
                SOURCE_PARTITION: b"%d" % letter.partition,
                SOURCE_OFFSET: b"%d" % letter.offset,
                SOURCE_TIMESTAMP: b"%d" % letter.timestamp_ms,
                VIEW: shop.view.encode(),
                ATTEMPTS: b"1",
            }

        again = asked(shop, "redrive", *chosen)
        assert (again["sent"], again["passed_over"]) == (0, 3)
        assert len(replayed(shop)) == 3
        assert marked(box) == {"first", "garbage", "second"}

        second = draw(tmp_path / "second.jpg", 2)
        with shop.worker("replay") as worker:
            eventually(lambda: second in _encoded(shop, "second"), what="the picture that is there now")
            eventually(lambda: marked(box) == {"second"}, what="what failed again")
            assert worker.stop() == 0

        left = {name: (letter.lane, letter.attempts) for name, letter in standing(box).items()}
        failed = {"first": ("replay", 2), "garbage": ("replay", 2)}
        assert left == failed | {"second": ("live", 1), "incomplete": ("live", 1)}
        assert asked(shop, "redrive", "--product", "second", "--again")["sent"] == 1


def marked(box: Letterbox) -> set[str]:
    return {name for name, letter in standing(box).items() if letter.redriven_at is not None}


def _encoded(shop: Installation, product_id: str) -> list[str]:
    payload = shop.payload(product_id)
    return [entry.url for entry in payload.encoded_images] if payload else []


# --- the topic as a cluster may leave it ----------------------------------------------------------------------------


def letter(shop: Installation, offset: int, **changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "view": "a-view",
        "topic": shop.settings.topics.events,
        "partition": 0,
        "offset": offset,
        "timestamp_ms": int(datetime.now(UTC).timestamp() * 1000),
        "key": b"p",
        "value": b"{}",
        "headers": [],
        "product_id": f"p{offset}",
        "reason": Reason.INTERNAL,
        "message": "",
        "stage": "consume",
        "attempts": 1,
        "worker_version": "0",
        "time": datetime.now(UTC),
    }
    return DeadLetter(**(fields | changes))


def test_the_newest_record_of_each_key_is_its_letter_and_a_null_value_removes_it(
    shop: Installation, box: Letterbox
) -> None:
    assert list(box.read()) == []
    put(box, *(letter(shop, number) for number in range(50)))
    put(box, *(letter(shop, number, attempts=2) for number in range(0, 50, 2)))
    for number in (48, 49):
        box.put(letter(shop, number).record_key, None)
    box.flush()

    found = standing(box)

    assert sorted(found) == sorted(f"p{number}" for number in range(48))
    assert {name: each.attempts for name, each in found.items()} == {
        f"p{number}": 1 + (number % 2 == 0) for number in range(48)
    }


def test_transactions_leave_offsets_that_are_no_records_and_those_that_were_aborted_do_not_count(
    shop: Installation, box: Letterbox
) -> None:
    topic = shop.settings.topics.dead_letters
    producer = Producer(shop.settings.kafka().librdkafka() | {"transactional.id": topic})
    producer.init_transactions(30)
    for number, commit in ((1, True), (2, False), (3, True), (4, False)):
        made = letter(shop, number)
        producer.begin_transaction()
        producer.produce(topic, key=made.record_key, value=made.model_dump_json())
        producer.flush(10)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    assert sorted(standing(box)) == ["p1", "p3"]


def test_records_before_the_first_offset_are_gone_and_the_rest_is_read(shop: Installation, box: Letterbox) -> None:
    topic = shop.settings.topics.dead_letters
    put(box, *(letter(shop, number) for number in range(40)))
    admin = AdminClient(shop.settings.kafka().librdkafka())
    policy = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[policy])
    admin.incremental_alter_configs([resource])[resource].result(10)
    ends = {number: high for number, (_, high) in shop.watermarks(topic).items()}
    cuts = [TopicPartition(topic, number, high if number == 0 else high // 2) for number, high in ends.items()]
    for future in admin.delete_records(cuts).values():
        future.result(10)

    left = sum(high - low for low, high in shop.watermarks(topic).values())
    assert 0 < left < 40
    assert len(standing(box)) == left


def test_what_is_no_letter_is_named_passed_over_and_told_by_the_exit_status(shop: Installation, box: Letterbox) -> None:
    put(box, letter(shop, 1))
    box.put(b"strange\x1b", b'{"view": "v"}')
    box.put(b"mended", b"no JSON")
    box.put(b"mended", letter(shop, 2).model_dump_json().encode())
    box.flush()

    assert [entry.key for entry in box.read() if isinstance(entry, Unreadable)] == [b"strange\x1b"]
    for command in (("list",), ("redrive",), ("export", "-")):
        done = shop.run("dead-letters", *command)
        assert done.returncode == 1
        assert "unreadable: strange\\x1b (partition " in done.stderr
        assert "topic: Field required" in done.stderr
        assert "1 unreadable, passed over" in done.stderr
    assert {entry.letter.redriven_at is None for entry in box.read() if isinstance(entry, Filed)} == {False}


def test_letters_that_can_not_be_redriven_are_refused_with_the_reason_and_the_others_are_sent(
    shop: Installation, box: Letterbox
) -> None:
    old = int((datetime.now(UTC) - timedelta(days=30)).timestamp() * 1000)
    put(box, letter(shop, 1), letter(shop, 2, timestamp_ms=old), letter(shop, 3, topic=shop.settings.topics.retry))

    done = shop.run("dead-letters", "redrive")

    assert done.returncode == 1
    assert "30 days old" in done.stdout
    assert f"a record of {shop.settings.topics.retry} that names no event" in done.stdout
    assert "1 sent again, 0 redriven before, 2 refused" in done.stdout
    assert len(replayed(shop)) == 1


def test_a_forced_event_is_forced_again(shop: Installation, box: Letterbox) -> None:
    put(box, letter(shop, 1, headers=[(FORCE, b"1")]))

    assert asked(shop, "redrive")["sent"] == 1
    assert dict(replayed(shop)[0].headers() or [])[FORCE] == b"1"


def test_many_letters_are_redriven_in_batches_each_once(shop: Installation, box: Letterbox) -> None:
    put(box, *(letter(shop, number) for number in range(1200)))

    assert asked(shop, "redrive")["sent"] == 1200
    assert len(replayed(shop)) == len({dict(m.headers() or [])[SOURCE_OFFSET] for m in replayed(shop)}) == 1200
    assert len(marked(box)) == 1200


def test_a_run_cut_off_before_the_marks_is_simply_run_again(shop: Installation, box: Letterbox) -> None:
    put(box, letter(shop, 1))

    class CutOff(Letterbox):
        def put(self, key: bytes, value: bytes | None) -> None:
            raise LetterboxError("cut off")

    with (
        CutOff(shop.settings.kafka(), shop.settings.topics.dead_letters) as cut_off,
        Resender(shop.settings.kafka(), shop.settings.topics) as resender,
        pytest.raises(LetterboxError),
    ):
        list(Redriver(cut_off, resender).redrive(entry for entry in cut_off.read() if isinstance(entry, Filed)))

    assert len(replayed(shop)) == 1
    assert standing(box)["p1"].redriven_at is None
    assert asked(shop, "redrive")["sent"] == 1
    assert len(replayed(shop)) == 2
    assert standing(box)["p1"].redriven_at is not None


def test_an_event_that_fails_again_before_its_letter_is_marked_keeps_its_newer_letter(
    shop: Installation, box: Letterbox
) -> None:
    put(box, letter(shop, 1), letter(shop, 2))

    class QuickWorker(Resender):
        """Once the events are sent, one of them has failed again."""

        def flush(self, timeout_seconds: float = 60.0) -> None:
            super().flush(timeout_seconds)
            put(box, letter(shop, 1, attempts=2, message="failed again"))

    with (
        Letterbox(shop.settings.kafka(), shop.settings.topics.dead_letters) as own,
        QuickWorker(shop.settings.kafka(), shop.settings.topics) as resender,
    ):
        sent = Redriver(own, resender).redrive(entry for entry in own.read() if isinstance(entry, Filed))
        assert sum(sent) == 2

    left = standing(box)
    assert (left["p1"].attempts, left["p1"].message, left["p1"].redriven_at) == (2, "failed again", None)
    assert left["p2"].redriven_at is not None


def test_nothing_is_marked_that_was_not_sent(shop: Installation, box: Letterbox) -> None:
    put(box, letter(shop, 1))

    class Refused(Resender):
        def flush(self, timeout_seconds: float = 60.0) -> None:
            super().flush(timeout_seconds)
            raise PublishError("refused")

    with pytest.raises(PublishError), Refused(shop.settings.kafka(), shop.settings.topics) as resender:
        list(Redriver(box, resender).redrive(entry for entry in box.read() if isinstance(entry, Filed)))

    assert standing(box)["p1"].redriven_at is None


@pytest.mark.parametrize(
    ("env", "said"),
    [({}, "freshline setup"), ({"FRESHLINE_KAFKA_BROKERS": "127.0.0.1:9"}, "Kafka at 127.0.0.1:9")],
    ids=["no topic", "no Kafka"],
)
def test_what_is_away_is_said_in_one_line(installation: dict[str, str], env: dict[str, str], said: str) -> None:
    done = freshline("dead-letters", "list", env=installation | env)

    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_letter_that_there_is_not_and_a_file_that_can_not_be_written_are_said(
    shop: Installation, tmp_path: Path
) -> None:
    shown = shop.run("dead-letters", "show", "nobody")
    exported = shop.run("dead-letters", "export", str(tmp_path / "none" / "letters.jsonl"))

    assert (shown.returncode, exported.returncode) == (1, 1)
    assert "no dead letter has the key or the product 'nobody'" in shown.stderr
    assert "letters.jsonl: No such file or directory" in exported.stderr
