// Lag of each partition: a bar each, one or sixty-four.

const BARS_HEIGHT = 64;

/** Bars in a block of their own; `updateBars` fills them. */
function makeBars(label) {
  const bars = { partitions: [], chosen: null, label, block: element("div", "bars"), said: element("p", "said") };
  const choose = (index) => { bars.chosen = index; if (bars.partitions.length) drawBars(bars); };
  Object.assign(bars, withCursor(label, choose));
  followPointer(bars, (x) => {
    const index = Math.floor((x / bars.canvas.clientWidth) * bars.partitions.length);
    return index >= 0 && index < bars.partitions.length ? index : null;
  }, choose);
  bars.table = tableOf(label);
  bars.block.append(bars.said, bars.canvas, bars.table);
  new ResizeObserver(() => bars.canvas.hidden || !bars.partitions.length || drawBars(bars)).observe(bars.canvas);
  return bars;
}

function updateBars(bars, partitions, limits) {
  Object.assign(bars, { partitions, limits });
  const idle = !partitions.some(({ lag_events: lag }) => lag > 0);
  bars.canvas.hidden = idle && document.activeElement !== bars.slider;
  bars.table.hidden = !partitions.length;
  if (!partitions.length) say(bars.said, "No partition yet.");
  else if (bars.canvas.hidden) say(bars.said, `${partitions.length === 1 ? "Its one partition is" : `All ${partitions.length} partitions are`} caught up.`);
  else drawBars(bars);
  fillTable(bars.table, COLUMNS, partitions, ({ partition }) => partition);
}

const COLUMNS = [
  ["Partition", ({ partition }) => String(partition)],
  ["Waiting", ({ lag_events: lag }) => COUNT.format(lag)],
  ["Oldest", ({ oldest_pending_seconds: oldest }) => duration(oldest)],
  ["Committed", ({ committed_offset: offset }) => (known(offset) ? COUNT.format(offset) : "not yet")],
  ["From", ({ begin_offset: offset }) => COUNT.format(offset)],
  ["To", ({ end_offset: offset }) => COUNT.format(offset)],
];

const told = ({ partition, lag_events: lag, oldest_pending_seconds: oldest }) =>
  `partition ${partition}: ${count(lag)} waiting${lag ? `, the oldest for ${duration(oldest)}` : ""}`;

function drawBars(bars) {
  const { partitions, chosen, slider } = bars;
  const width = Math.max(bars.canvas.clientWidth, 120);
  const most = partitions.reduce((worst, each) => (each.lag_events > worst.lag_events ? each : worst));
  const total = partitions.reduce((sum, { lag_events: lag }) => sum + lag, 0);
  bars.drawing.setAttribute("viewBox", `0 0 ${width} ${BARS_HEIGHT}`);
  const group = describe(bars.drawing, bars.label, `${plural(partitions.length, "partition")}, ${plural(total, "event")} waiting, most in ${told(most)}.`);
  group.replaceChildren(svg("line", { x1: 0, x2: width, y1: BARS_HEIGHT - 0.5, y2: BARS_HEIGHT - 0.5, class: "base" }),
    ...partitions.map((each, index) => bar(bars, each, index, { width, most: most.lag_events })));
  slider.max = partitions.length - 1;
  if (chosen !== null) slider.value = chosen;
  const shown = partitions[chosen] ?? most;
  slider.setAttribute("aria-valuetext", told(partitions[slider.value] ?? most));
  say(bars.said, `${partitions[chosen] ? "In" : `Of ${plural(partitions.length, "partition")}, most in`} ${told(shown)}`);
}

function bar({ partitions, chosen, limits }, { lag_events: lag, oldest_pending_seconds: oldest }, index, { width, most }) {
  const slot = width / partitions.length;
  const gap = Math.min(4, slot * 0.2);
  const height = lag ? Math.max(3, (lag / most) * (BARS_HEIGHT - 4)) : 2;
  const tone = lag ? toneOf(oldest, limits) || "good" : "idle";
  const wide = Math.min(slot - gap, 48);
  return svg("rect", {
    x: ((index + 0.5) * slot - wide / 2).toFixed(2), width: wide.toFixed(2), y: (BARS_HEIGHT - height).toFixed(2), height: height.toFixed(2),
    rx: Math.min(3, slot / 5).toFixed(2), class: `bar ${tone}${index === chosen ? " chosen" : ""}`,
  });
}
