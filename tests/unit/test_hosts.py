from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from schemas.dead_letters import Reason
from stream.images.fetched import FetchError, Refused, Unavailable
from stream.images.hosts import Hosts, HostSettings
from tests.unit.test_breaker import Clock

URL = "http://a.test/1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hosts(clock: Clock) -> Hosts:
    return Hosts(HostSettings(at_once=2, strangers_at_once=3, doubt_seconds=0, remembered=8), clock)


async def visit(hosts: Hosts, name: str, outcome: Exception | None = None, *, answered: bool = False) -> None:
    async with hosts.visit(name, URL) as seen:
        seen.answered = answered
        if outcome:
            raise outcome


async def fail(hosts: Hosts, *names: str, times: int = 5) -> None:
    for name in names:
        for _ in range(times):
            with pytest.raises(Unavailable):
                await visit(hosts, name, Unavailable("HTTP 503"))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_visits_at_once_than_a_host_may_have_and_others_go_on(hosts: Hosts) -> None:
    await visit(hosts, "a")
    await visit(hosts, "b")
    async with AsyncExitStack() as exits:
        for _ in range(2):
            await exits.enter_async_context(hosts.visit("a", URL))
        third = asyncio.create_task(visit(hosts, "a"))
        await settle()
        assert not third.done()
        await visit(hosts, "b")
    await third
    assert hosts.named("a").is_idle


async def test_when_a_host_falls_ill_all_who_wait_for_it_are_refused_at_once(hosts: Hosts) -> None:
    await fail(hosts, "a", times=4)
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(hosts.visit("a", URL))
        last = asyncio.create_task(hang_then_fail(hosts))
        await settle()
        waiting = [asyncio.create_task(visit(hosts, "a")) for _ in range(50)]
        await settle()
        assert not any(task.done() for task in waiting)
        last.cancel("fail")
        results = await asyncio.gather(last, *waiting, return_exceptions=True)

    assert all(isinstance(result, Refused) for result in results[1:])
    assert all(URL in str(result) for result in results[1:])
    assert hosts.named("a").is_idle
    with pytest.raises(Refused):
        await visit(hosts, "a")


async def hang_then_fail(hosts: Hosts) -> None:
    async with hosts.visit("a", URL):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("timeout") from None


async def test_a_visit_that_is_broken_off_gives_its_turn_to_the_next_and_tells_nothing(hosts: Hosts) -> None:
    await visit(hosts, "a")
    visiting = [asyncio.create_task(hang_in(hosts)) for _ in range(2)]
    await settle()
    waiting = [asyncio.create_task(visit(hosts, "a")) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    visiting[0].cancel()
    await settle()
    assert [task.done() for task in waiting] == [True, True, True]
    visiting[1].cancel()
    await settle()

    assert hosts.named("a").is_idle
    assert not hosts.named("a").breaker.is_ill


async def hang_in(hosts: Hosts) -> None:
    async with hosts.visit("a", URL):
        await asyncio.Event().wait()


async def test_a_turn_that_comes_just_when_it_is_given_up_is_not_lost(hosts: Hosts) -> None:
    async with AsyncExitStack() as exits:
        for _ in range(2):
            await exits.enter_async_context(hosts.visit("a", URL))
        waiting = asyncio.create_task(visit(hosts, "a"))
        await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hosts.named("a").is_idle


async def test_only_what_says_how_the_host_is_counts(hosts: Hosts) -> None:
    gone = FetchError(Reason.IMAGE_MISSING, "HTTP 404")
    for _ in range(10):
        with pytest.raises(FetchError):
            await visit(hosts, "a", gone, answered=True)
        with pytest.raises(FetchError):
            await visit(hosts, "b", gone)

    assert hosts.named("a").breaker.proven
    assert not hosts.named("a").breaker.is_ill
    assert not hosts.named("b").breaker.proven


async def test_strangers_share_a_part_and_leave_the_rest_to_those_who_were_well(hosts: Hosts) -> None:
    await visit(hosts, "known")
    async with AsyncExitStack() as exits:
        for name in "abc":
            await exits.enter_async_context(hosts.visit(name, URL))
        fourth = asyncio.create_task(visit(hosts, "d"))
        await settle()
        assert not fourth.done()
        await visit(hosts, "known")
    await fourth


async def test_the_table_of_hosts_is_bounded_and_keeps_those_in_use(hosts: Hosts) -> None:
    async with hosts.visit("in use", URL):
        used = hosts.named("in use")
        for number in range(100):
            await visit(hosts, f"host {number}")
        assert hosts.named("in use") is used
    assert len(hosts._hosts) <= 8


@pytest.mark.parametrize(
    ("well", "ill", "most"),
    [("", "ab", False), ("", "abc", True), ("ab", "c", False), ("ab", "cd", False), ("a", "bcd", True)],
)
async def test_most_hosts_are_ill_when_more_than_half_of_at_least_three_are(
    hosts: Hosts, well: str, ill: str, most: bool
) -> None:
    for name in well + ill:
        await visit(hosts, name)
    await fail(hosts, *ill)

    assert hosts.most_are_ill() is most


async def test_names_that_never_were_well_do_not_count_beside_a_host_that_is(hosts: Hosts) -> None:
    await visit(hosts, "cdn")
    await fail(hosts, *"abcdef")

    assert not hosts.most_are_ill()


async def test_hosts_that_were_not_tried_lately_do_not_count_unless_somebody_holds(hosts: Hosts, clock: Clock) -> None:
    await fail(hosts, *"abc")
    async with hosts.holding():
        clock.now += 3600
        assert hosts.most_are_ill()
    assert not hosts.most_are_ill()


async def test_a_host_that_just_fell_ill_waits_a_moment_for_the_others_to_show(clock: Clock) -> None:
    hosts = Hosts(HostSettings(doubt_seconds=60), clock)
    for name in "abc":
        await visit(hosts, name)
    await fail(hosts, "a")
    doubting = asyncio.create_task(hosts.turn_out_ill(hosts.named("a")))
    await settle()
    assert not doubting.done()
    await fail(hosts, "b")
    assert await doubting

    clock.now += 61
    await visit(hosts, "c")
    await visit(hosts, "d")
    await visit(hosts, "e")
    assert not await hosts.turn_out_ill(hosts.named("a"))
