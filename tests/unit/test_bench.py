"""What the benchmark of the pipeline makes of its samples; that it measures real parts: tests/benchmarks."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from freshline.bench.encoder_report import LABELS as LABELS_OF_ENCODER
from freshline.bench.encoder_report import OURS, PEERS, EncoderCase, EncoderReport
from freshline.bench.errors import BenchError
from freshline.bench.freshness import Spans, judge, quantiles
from freshline.bench.freshness_report import FreshnessReport, Quantiles
from freshline.bench.hosts_report import Freshness, HostsReport
from freshline.bench.meters import Meter, Use
from freshline.bench.pipeline import PipelinePlan
from freshline.bench.report import Memory, PipelineReport, Rate, plot
from freshline.bench.soak import memory_of
from freshline.bench.together import Sample
from freshline.bench.traffic import Sighting, rate
from freshline.bench.workload import Workload
from freshline.bench.write_report import LABELS, WriteCase, WriteReport


@pytest.fixture
def report() -> PipelineReport:
    pictures = Rate(1000, 400.0, {"consume, settle": 0.0005, "decode": 0.001, "encode": 0.0025}, 2, 1.9)
    payloads = Rate(9000, 2000.0, {"consume, settle": 0.0005}, 2, 1.1)
    memory = Memory(warm=200e6, end=206e6, peak=210e6, events=9000)
    return PipelineReport("x86_64, 2 cores", "drawn@1", 2, pictures, payloads, 900.0, 4000.0, memory)


def test_efficiency_is_the_measured_rate_over_what_the_stages_allow_on_all_cores(report: PipelineReport) -> None:
    assert report.pictures.allowed_per_second == pytest.approx(2 / 0.004)
    assert report.pictures.efficiency == pytest.approx(0.8)
    assert report.payloads.efficiency == pytest.approx(0.5)
    assert report.payload_ratio == pytest.approx(0.5)
    assert report.memory.growth == pytest.approx(0.03)


def test_the_figures_hold_what_is_measured_and_what_follows_from_it(report: PipelineReport) -> None:
    figures = json.loads(json.dumps(report.figures()))

    assert figures["pictures"]["efficiency"] == pytest.approx(0.8)
    assert figures["pictures"]["stage_seconds"]["decode"] == 0.001
    assert figures["payload_ratio"] == pytest.approx(0.5)
    assert figures["memory_growth"] == pytest.approx(0.03)


def test_the_table_fits_a_terminal_and_says_it_all(report: PipelineReport) -> None:
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(report.table())
    lines = screen.export_text().splitlines()

    assert max(map(len, lines)) <= 80
    assert any("efficiency 0.80 (the stages allow 500 /s)" in line for line in lines)
    assert any("+3.0% over 9,000 events" in line for line in lines)
    assert any(line.split() == ["all", "stages", "4.000", "0.500"] for line in lines)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_plot_is_a_picture_of_the_kind_that_is_asked_for(
    report: PipelineReport, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"plot.{ending}"
    plot(report, file)

    assert file.read_bytes().startswith({"svg": b"<?xml", "png": b"\x89PNG"}[ending])


def test_a_plot_of_an_unknown_kind_is_an_error(report: PipelineReport, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="xyz"):
        plot(report, tmp_path / "plot.xyz")


def test_all_events_of_the_workload_are_of_distinct_products_and_prices() -> None:
    workload = Workload([Path("/pictures/0.jpg"), Path("/pictures/1.jpg")])
    listed, repriced = list(workload.listed(range(3))), list(workload.repriced(range(3), range(2)))

    assert [event.product_id for event in listed] == ["product-0", "product-1", "product-2"]
    assert [event.images[0].url[-5:] for event in listed] == ["0.jpg", "1.jpg", "0.jpg"]
    assert len({(event.product_id, event.product and event.product.price) for event in listed + repriced}) == 9
    assert {event.type for event in repriced} == {"updated"}


def test_the_plan_counts_its_warm_up() -> None:
    assert PipelinePlan(pictures=5000, rounds=9).events == 55_000


def test_a_sample_counts_all_outcomes() -> None:
    assert Sample(Use(1, 1), Counter(indexed=3, payload_only=4), 0).events == 7


def test_a_meter_counts_this_process_where_it_is_asked_to() -> None:
    meter = Meter(own=True)
    before = meter.read()
    while meter.read().since(before).cpu <= 0.01:
        pass

    assert meter.read().since(before).wall > 0
    assert Meter().read().cpu == 0


@pytest.fixture
def written() -> WriteReport:
    rates = {way: [5.0, 5.0, 9.0] for way in LABELS} | {"client": [10.0, 5.0, 100.0], "guarded": [8.0, 5.0, 70.0]}
    return WriteReport(512, 256, 3, [WriteCase("counter", 128, rates), WriteCase("timestamp", 512, rates)])


def test_a_way_of_writing_is_compared_with_the_plain_one_of_its_own_round(written: WriteReport) -> None:
    (figures, _) = written.figures()["cases"]

    assert figures["ratio"]["guarded"] == pytest.approx(0.8)
    assert figures["points_per_second"]["guarded"] == 8.0
    assert (figures["versions"], figures["dimension"]) == ("counter", 128)


def test_the_table_of_writes_names_every_way_and_case(written: WriteReport) -> None:
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(written.table())
    lines = screen.export_text().splitlines()

    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["counters", "timestamps"] for line in lines)
    assert any(line.split() == ["our", "messages,", "guarded", "8", "0.80", "8", "0.80"] for line in lines)


@pytest.mark.parametrize(("seconds", "said"), [(21.4, "all complete 21 s"), (None, "not all complete")])
def test_the_table_of_hosts_says_what_became_of_the_host_that_hung(seconds: float | None, said: str) -> None:
    others, hanging = Freshness(950, 0.1, 1.5, 1.9), Freshness(50, 20.0, 31.0, 33.0)
    report = HostsReport("x86_64, 2 cores", 20, 2, 600.0, 300.0, 60.0, others, hanging, 50, seconds)
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(report.table())
    lines = screen.export_text().splitlines()

    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["the", "other", "19", "hosts", "950", "0.10", "1.50", "1.90"] for line in lines)
    assert any("parked: 50" in line and said in line for line in lines)
    assert json.loads(json.dumps(report.figures()))["others"]["p99"] == 1.5


@pytest.fixture
def encoded() -> EncoderReport:
    def uses(*seconds: float) -> list[Use]:
        return [Use(1.5 * each, each) for each in seconds]

    some = {way: uses(2, 2, 9) for way in LABELS_OF_ENCODER if way not in PEERS} | {OURS: uses(1, 2, 1)}
    with_peer = {**some, PEERS[0]: uses(10, 10, 10)}
    cases = [
        EncoderCase("freshline/tower", 112, 128, 100, some),
        EncoderCase("timm/x", 224, 512, 100, with_peer),
    ]
    return EncoderReport("x86_64, 2 cores", 32, 3, cases, memory_of([(10, 50), (20, 100), (60, 104), (100, 102)]))


def test_we_are_compared_with_each_way_of_encoding_in_the_same_round(encoded: EncoderReport) -> None:
    (first, second) = encoded.figures()["models"]

    assert first["ahead"]["torch"] == pytest.approx(2.0)
    assert second["ahead"][PEERS[0]] == 10
    assert first["per_second"][OURS] == 100
    assert first["cpu_ms"]["torch"] == pytest.approx(30)
    assert PEERS[0] not in first["ahead"]


def test_memory_is_compared_from_after_the_warm_up_to_the_end(encoded: EncoderReport) -> None:
    figures = encoded.figures()

    assert figures["memory"] == {"warm": 75, "end": 102, "peak": 104, "events": 90}
    assert figures["memory_growth"] == pytest.approx(102 / 75 - 1)


def test_the_table_of_the_encoder_names_every_way_and_model(encoded: EncoderReport) -> None:
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(encoded.table())
    lines = screen.export_text().splitlines()

    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["fastembed,", "batches", "10", "10.00", "150.00"] for line in lines)
    assert any(line.split() == ["PyTorch", "eager,", "batches", "50", "2.00", "30.00"] for line in lines)


def test_a_backlog_is_worked_off_from_the_first_that_is_found_until_the_goal_is_kept_again() -> None:
    """One event a second from 0 to 20; the workers are back at 10; from 14 on two are found each second."""
    sightings = [Sighting(float(number), max(14 + number / 2, number + 0.5)) for number in range(28)]

    outage = judge(sightings, Spans(outage=10, restarted=10, caught_up=20), arriving=1.0, goal=4.0)

    assert (outage.backlog, outage.first_seconds, outage.caught_up_seconds) == (10, 4, 10)
    assert (outage.worked_off_per_second, outage.ratio) == (2, 2)
    assert outage.under_goal_seconds == 13.5  # the one of 19, found at 23.5
    assert outage.slowest == 14


def test_the_capacity_leaves_out_the_first_and_the_last_tenth() -> None:
    slow = [Sighting(0, 10 * number) for number in range(1, 6)]
    steady = [Sighting(0, 50 + number / 4) for number in range(1, 42)]
    assert rate([*slow, *steady, *(Sighting(0, 100.0 + number) for number in range(4))]) == pytest.approx(4)


def test_products_that_were_all_found_at_once_tell_no_capacity() -> None:
    with pytest.raises(BenchError, match="too few to measure a rate"):
        rate([Sighting(0, 1.0)] * 20)


def test_parts_are_read_from_where_the_steady_load_began(tmp_path: Path) -> None:
    records = tmp_path / "worker.jsonl"
    before = json.dumps({"waiting": 100.0}) + "\n"
    records.write_text(before + "".join(json.dumps({"waiting": n / 100, "write": 1.0}) + "\n" for n in range(101)))

    found = quantiles([(records, len(before))])
    assert found["write"] == Quantiles(101, 1.0, 1.0)
    assert found["waiting"].events == 101
    assert found["waiting"].p50 == pytest.approx(0.5)
    assert found["waiting"].p99 == pytest.approx(0.99)


def test_the_report_of_freshness_fits_a_terminal_and_says_what_is_wanted_of_it() -> None:
    outage = judge([Sighting(0, 14), Sighting(1, 15), Sighting(2, 15)], Spans(10, 10, 16), arriving=0.5, goal=10)
    report = FreshnessReport(
        machine="x86_64, 2 cores, Python 3.11.7",
        bundle="freshline-drawn@2.4",
        workers=2,
        products=100_000,
        capacity_per_second=602.0,
        capacity_again_per_second=589.0,
        per_second=301.0,
        seconds=300,
        steady=Freshness(90_300, 0.25, 0.75, 1.5),
        resolution_seconds=0.06,
        parts={"fetch": Quantiles(90_300, 0.01, 0.02)},
        goal_seconds=10.0,
        outage=outage,
    )
    screen = Console(file=io.StringIO(), width=90, record=True)
    screen.print(report.table())
    lines = screen.export_text().splitlines()

    assert ["freshness,", "from", "outside", "90,300", "0.250", "0.750", "1.500"] in [line.split() for line in lines]
    assert any("602 events/s with a new picture, 589 at the end" in line for line in lines)
    assert any("worked off at 1 events/s, 2.00 times the arrivals" in line for line in lines)
    assert json.loads(json.dumps(report.figures()))["outage"]["ratio"] == pytest.approx(2)
