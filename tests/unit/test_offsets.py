from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from stream.offsets import Frontier, Partition, Ticket

P0 = Partition("catalog.events", 0)
P1 = Partition("catalog.events", 1)


def opened(frontier: Frontier, *offsets: int, partition: Partition = P0) -> list[Ticket]:
    tickets = [frontier.open(partition, offset) for offset in offsets]
    assert all(tickets)
    return [ticket for ticket in tickets if ticket]


def unfinished(frontier: Frontier) -> int:
    """Events that were delivered and are not settled."""
    return sum(not ticket.settled for log in frontier._logs.values() for ticket in log.waiting)


def test_nothing_settled_is_nothing_to_commit() -> None:
    frontier = Frontier()
    opened(frontier, 0, 1)

    assert frontier.committable() == {}


def test_what_is_committed_is_the_offset_of_the_next_event() -> None:
    frontier = Frontier()
    opened(frontier, 7)[0].settle()

    assert frontier.committable() == {P0: 8}


def test_an_unfinished_event_holds_back_all_after_it() -> None:
    frontier = Frontier()
    first, second, third = opened(frontier, 0, 1, 2)
    third.settle()
    second.settle()
    assert frontier.committable() == {}

    first.settle()
    assert frontier.committable() == {P0: 3}


def test_an_unfinished_event_holds_back_no_other_partition() -> None:
    frontier = Frontier()
    opened(frontier, 0)
    opened(frontier, 5, partition=P1)[0].settle()

    assert frontier.committable() == {P1: 6}


def test_gaps_that_compaction_left_hold_nothing_back() -> None:
    frontier = Frontier()
    for ticket in opened(frontier, 3, 4, 90, 1000):
        ticket.settle()

    assert frontier.committable() == {P0: 1001}


def test_an_offset_that_was_delivered_already_gets_no_ticket() -> None:
    frontier = Frontier()
    opened(frontier, 4, 5)

    assert frontier.open(P0, 5) is None
    assert frontier.open(P0, 4) is None
    assert unfinished(frontier) == 2


def test_settling_twice_is_settling_once() -> None:
    frontier = Frontier()
    first, _ = opened(frontier, 0, 1)
    first.settle()
    first.settle()

    assert frontier.committable() == {P0: 1}


def test_what_is_committed_is_not_committed_again() -> None:
    frontier = Frontier()
    first, second = opened(frontier, 0, 1)
    first.settle()
    frontier.committed(frontier.committable())
    assert frontier.committable() == {}

    second.settle()
    assert frontier.committable() == {P0: 2}


def test_a_commit_that_failed_is_due_still() -> None:
    frontier = Frontier()
    opened(frontier, 0)[0].settle()

    assert frontier.committable() == frontier.committable() == {P0: 1}


def test_what_was_settled_during_a_commit_is_due_after_it() -> None:
    frontier = Frontier()
    first, second = opened(frontier, 0, 1)
    first.settle()
    sent = frontier.committable()
    second.settle()
    frontier.committed(sent)

    assert frontier.committable() == {P0: 2}


def test_a_revoked_partition_is_committed_no_more() -> None:
    frontier = Frontier()
    opened(frontier, 0)[0].settle()
    opened(frontier, 0, partition=P1)[0].settle()
    frontier.revoke([P0])

    assert frontier.committable() == {P1: 1}


def test_a_ticket_from_before_a_revocation_moves_nothing_after_it() -> None:
    frontier = Frontier()
    (old,) = opened(frontier, 5)
    frontier.revoke([P0])
    opened(frontier, 5)
    old.settle()

    assert frontier.committable() == {}
    assert unfinished(frontier) == 1


def test_a_partition_that_comes_back_may_start_further_back() -> None:
    frontier = Frontier()
    opened(frontier, 5)
    frontier.revoke([P0])

    opened(frontier, 3)[0].settle()
    assert frontier.committable() == {P0: 4}


def test_a_commit_that_ends_after_its_partition_was_revoked_is_forgotten() -> None:
    frontier = Frontier()
    opened(frontier, 0)[0].settle()
    sent = frontier.committable()
    frontier.revoke([P0])
    frontier.committed(sent)

    assert frontier.committable() == {}


@given(offsets=st.sets(st.integers(0, 60), min_size=1), seed=st.integers(0, 2**32))
def test_never_past_an_unfinished_event_and_at_the_end_when_all_are_done(offsets: set[int], seed: int) -> None:
    chance, frontier = random.Random(seed), Frontier()
    busy: list[Ticket] = []
    done: set[int] = set()
    to_come, last = sorted(offsets), -1
    while to_come or busy:
        if to_come and (not busy or chance.random() < 0.5):
            busy += opened(frontier, to_come.pop(0))
        else:
            ticket = busy.pop(chance.randrange(len(busy)))
            ticket.settle()
            done.add(ticket.offset)
        position = frontier.committable().get(P0, last)
        assert all(offset in done for offset in offsets if offset < position)
        assert position >= last
        last = position
        if chance.random() < 0.3:
            frontier.committed(frontier.committable())

    assert last == max(offsets) + 1
    assert unfinished(frontier) == 0


@given(st.data())
def test_over_any_rebalances_a_commit_covers_only_what_was_settled_by_someone(data: st.DataObject) -> None:
    """Deliveries restart at the last commit each time, as Kafka's do; old tickets may settle at any time."""
    frontier, log, committed = Frontier(), 12, 0
    delivered, settled, tickets = 0, set(), []
    for _ in range(data.draw(st.integers(0, 60))):
        step = data.draw(st.sampled_from(["deliver", "settle", "commit", "rebalance"]))
        if step == "deliver" and delivered < log:
            if ticket := frontier.open(P0, delivered):
                tickets.append(ticket)
            delivered += 1
        elif step == "settle" and tickets:
            ticket = tickets.pop(data.draw(st.integers(0, len(tickets) - 1)))
            ticket.settle()
            settled.add(ticket.offset)
        elif step == "commit":
            offsets = frontier.committable()
            committed = offsets.get(P0, committed)
            frontier.committed(offsets)
        elif step == "rebalance":
            frontier.revoke([P0])
            delivered = committed
        assert settled >= set(range(committed))


def test_a_partition_is_unfinished_while_anything_of_it_is_in_flight() -> None:
    frontier = Frontier()
    (first, second), (other,) = opened(frontier, 0, 1), opened(frontier, 5, partition=P1)

    second.settle()
    other.settle()
    assert frontier.unfinished() == {P0}

    first.settle()
    assert frontier.unfinished() == set()
