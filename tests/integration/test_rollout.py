"""The steps of a rollout on real parts: what each refuses, that each can be repeated, and the local stack's workers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from encoders.bundle import Bundle
from freshline.rollout.site import Site
from infra.local.stack import LocalStack
from tests.harness import Installation, draw, eventually, listing


@pytest.fixture
def known_models(bundles: tuple[Bundle, Bundle]) -> dict[str, str]:
    return {"FRESHLINE_BUNDLE": str(bundles[0].folder), "FRESHLINE_BUNDLES": str(bundles[1].folder)}


def rollout(shop: Installation, *arguments: str, status: int = 0) -> str:
    done = shop.run("rollout", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


def roles(shop: Installation) -> dict[str, str]:
    return {view["name"]: view["role"] for view in json.loads(rollout(shop, "status", "--json"))}


def test_steps_refuse_what_is_not_ready_and_can_be_repeated(shop: Installation, bundles: tuple[Bundle, Bundle]) -> None:
    first, new = shop.view, str(bundles[1].folder)
    assert "nothing to roll back to" in rollout(shop, "rollback", status=1)
    assert "no view is being built" in rollout(shop, "switch", status=1)

    said = rollout(shop, "start", new, "--no-workers")
    second = said.split()[1]
    assert re.search(rf"FRESHLINE_VIEW={second} FRESHLINE_BUNDLE=\S+ freshline worker --lane live", said)
    assert f"view: {second} (there already)" in rollout(shop, "start", new, "--no-workers")
    assert f"{second} is being built" in rollout(shop, "start", "shipped", status=1)
    assert f"{first} holds no products" in rollout(shop, "switch", status=1)

    pictures = [draw(shop.folder / f"{number}.jpg", number) for number in range(12)]
    shop.publish(*(listing(f"p{number}", [url]) for number, url in enumerate(pictures)))
    own = {"FRESHLINE_VIEW": second, "FRESHLINE_BUNDLE": new}
    with shop.worker(FRESHLINE_VIEW=first) as old:
        eventually(shop.caught_up, what="the first view")
        refused = rollout(shop, "switch", "--margin", "1", status=1)
        assert f"{second} does not serve" in refused
        assert "live lane: " in refused
        assert "0 worker(s)" in refused
        assert shop.payload("p0") is not None

        with shop.worker(**own), shop.worker("retry", **own) as retry:
            rollout(shop, "status", "--wait")
            found = json.loads(rollout(shop, "evaluate", "--margin", "1", "--max-p99-ms", "10000", "--json"))
            assert (found["building"]["view"], found["serving"]["view"]) == (second, first)
            assert found["ok"]
            assert found["quality"]["difference"]["queries"] == 12
            rollout(shop, "switch", "--margin", "1", "--max-p99-ms", "10000")
            assert roles(shop) == {second: "serving", first: "previous"}
            assert f"{second} serves already" in rollout(shop, "switch")
            assert json.loads(rollout(shop, "switch", "--json")) == {"ok": True, "serving": second}
            assert "is kept from the last rollout" in rollout(shop, "start", new, status=1)
            rollout(shop, "rollback")
            assert roles(shop) == {first: "serving", second: "building"}
            assert f"{first} serves; {second} is being built" in rollout(shop, "rollback")
            assert "(1 live, 1 retry)" in rollout(shop, "abort", status=1)
            assert json.loads(rollout(shop, "switch", "--margin", "1", "--max-p99-ms", "10000", "--json"))["ok"]
            old.stop()
            assert f"{first} was not fed" in rollout(shop, "rollback", status=1)
            with Site(shop.settings) as site:  # a `finish` that was killed half-way
                eventually(lambda: not any(site.workers(first).values()), what="the end of the first view's worker")
                site.forget_groups(first)
            assert f"{first} is gone" in rollout(shop, "finish")
            assert "nothing to do" in rollout(shop, "finish")
            assert roles(shop) == {second: "serving"}
            retry.stop()
    with Site(shop.settings) as site:
        assert site.next_name(bundles[0].manifest.space).endswith("-3")


def test_the_local_stacks_workers_are_started_and_stopped(shop: Installation, stack: LocalStack) -> None:
    shop.publish(listing("p", [draw(shop.folder / "p.jpg", 1)]))
    where = ("--stack", str(stack.data))
    said = rollout(shop, "start", shop.env["FRESHLINE_BUNDLE"], *where)  # the same bundle: everything is built anew
    view = said.split()[1]
    processes = re.findall(r"process (\d+)", said)
    assert len(processes) == 2
    assert re.findall(r"process (\d+)", rollout(shop, "start", shop.env["FRESHLINE_BUNDLE"], *where)) == processes
    with shop.worker(FRESHLINE_VIEW=shop.view):  # whom the new one yields to
        eventually(lambda: shop.payload("p"))
        waited = json.loads(rollout(shop, "status", "--wait", "--json"))
    assert {each["name"]: each["products"] for each in waited} == {shop.view: 1, view: 1}

    assert f"{view} is gone" in rollout(shop, "abort", *where)
    assert not any(_runs(pid) for pid in processes)
    assert "nothing to do" in rollout(shop, "abort", *where)
    assert roles(shop) == {shop.view: "serving"}


def _runs(pid: str) -> bool:
    """Whether the process is there and has not ended: whoever adopted it may not have taken note yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
