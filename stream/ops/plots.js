// Plots over the last hours, by hand: one axis of time for all, and one place on it that all show.

const EDGE = { left: 52, right: 12, top: 14, bottom: 24, height: 196 };
const DURATIONS = [1, 10, 60, 600, 3_600, 36_000, 259_200];
const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
const plots = [];
let pointed = null; // milliseconds; null: the latest

/** Durations from 0 to hours in one picture. */
const logarithmic = (top) => ({ top, at: (value) => Math.log10(1 + value) / Math.log10(1 + top), ticks: DURATIONS.filter((each) => each <= top && 14 * Math.log10(1 + top) < 158 * Math.log10(1 + each)), text: duration });

function linear(highest) {
  const rough = Math.max(highest, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const top = step * Math.max(1, Math.ceil(Math.max(highest, 1) / step));
  const ticks = Array.from({ length: Math.round(top / step) }, (_, index) => step * (index + 1));
  return { top, at: (value) => value / top, ticks, text: count };
}

/**
 * A plot in `figure`.
 * @param series `[{key, name, text}]`, keys of samples
 * @param scaleOf `(samples, state) => scale`
 * @param linesOf `(state) => [[value, name]]`, what to compare with
 */
function makePlot(figure, { title, hint, series, scaleOf, linesOf = () => [] }) {
  const plot = { series, title, hint, scaleOf, linesOf, samples: [], figure };
  const move = (index) => point(index === null || index >= plot.samples.length - 1 ? null : plot.samples[index].at_ms);
  Object.assign(plot, withCursor(title, move));
  followPointer(plot, (x) => nearest(plot, x), move);
  plot.legend = element("ul", "legend");
  plot.when = element("span", "when");
  plot.none = element("p", "none");
  plot.table = tableOf(title);
  figure.append(element("figcaption", "", element("h2", "", title), plot.when), plot.legend, plot.none, plot.canvas, plot.table);
  new ResizeObserver(() => plot.samples.length && drawPlot(plot)).observe(plot.canvas);
  plots.push(plot);
  return plot;
}

function point(atMs) {
  if (pointed === atMs) return;
  pointed = atMs;
  for (const plot of plots) if (plot.state) drawCursor(plot);
}

function updatePlot(plot, state, now) {
  const used = state.history.filter((sample) => plot.series.some(({ key }) => known(sample[key])));
  Object.assign(plot, { state, samples: used, now });
  plot.canvas.hidden = plot.table.hidden = plot.legend.hidden = !used.length;
  plot.none.hidden = used.length > 0;
  sayWithCode(plot.none, plot.hint(state));
  say(plot.when, "");
  if (!used.length) return;
  drawPlot(plot);
  fillTable(plot.table, [["Time", (sample) => moment(sample.at_ms, now)], ...plot.series.map(({ key, name, text }) => [name, (sample) => text(sample[key])])], used.toReversed(), ({ at_ms: at }) => at);
}

function drawPlot(plot) {
  const { samples, state, series } = plot;
  const width = Math.max(plot.canvas.clientWidth, 200);
  const [from, to] = [samples[0].at_ms, samples.at(-1).at_ms];
  const scale = plot.scaleOf(samples, state);
  plot.x = (at) => EDGE.left + (to > from ? (at - from) / (to - from) : 1) * (width - EDGE.left - EDGE.right);
  plot.y = (value) => EDGE.height - EDGE.bottom - Math.min(1, scale.at(value)) * (EDGE.height - EDGE.bottom - EDGE.top);
  plot.drawing.setAttribute("viewBox", `0 0 ${width} ${EDGE.height}`);
  const group = describe(plot.drawing, plot.title, summary(plot));
  plot.mark = svg("g", { class: "mark" });
  group.replaceChildren(
    ...valueAxis(plot, scale, width), ...timeAxis(plot, from, to, width),
    ...plot.linesOf(state).filter(([value]) => value <= scale.top).map(([value, name]) => compared(plot, value, name, width)),
    ...series.flatMap((each, index) => line(plot, each.key, index)), plot.mark);
  plot.slider.max = samples.length - 1;
  drawCursor(plot);
}

function summary({ samples, series, state, linesOf, now }) {
  const span = `${moment(samples[0].at_ms, now)} to ${moment(samples.at(-1).at_ms, now)}`;
  const said = series.map(({ key, name, text }) => {
    const values = samples.map((sample) => sample[key]).filter(known);
    return `${name}: at most ${text(values.reduce((most, each) => Math.max(most, each), 0))}, last ${text(values.at(-1))}`;
  });
  return [span, ...said, ...linesOf(state).map(([value, name]) => `${name} ${duration(value)}`)].join("; ");
}

function valueAxis(plot, scale, width) {
  return [0, ...scale.ticks].flatMap((value) => {
    const y = plot.y(value).toFixed(1);
    const label = svg("text", { x: EDGE.left - 8, y, class: "tick", "text-anchor": "end", dy: ".32em" }, value ? scale.text(value) : "0");
    return [svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y, class: value ? "grid" : "base" }), label];
  });
}

function timeAxis(plot, from, to, width) {
  const wanted = Math.max(2, (width - EDGE.left) / 52);
  const minutes = MINUTES.find((each) => (to - from) / 60_000 / each <= wanted) ?? 1440;
  const zone = new Date(to).getTimezoneOffset() * 60_000;
  const step = minutes * 60_000;
  const labels = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) {
    const x = plot.x(at);
    if (x < EDGE.left + 8 || x > width - EDGE.right - 14) continue;
    labels.push(svg("text", { x: x.toFixed(1), y: EDGE.height - 6, class: "tick", "text-anchor": "middle" }, clock(at)));
  }
  return labels;
}

function compared(plot, value, name, width) {
  const y = plot.y(value);
  return svg("g", { class: `compared ${name}` },
    svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y }),
    svg("text", { x: width - EDGE.right - 2, y: y - 4, "text-anchor": "end" }, `${name} ${duration(value)}`));
}

/** A line, broken where the monitor did not look; a lone figure is a dot. */
function line(plot, key, index) {
  const runs = [];
  const gap = 3.5 * spacing(plot.samples);
  let last = null;
  for (const sample of plot.samples) {
    if (!known(sample[key])) { last = null; continue; }
    if (last === null || sample.at_ms - last > gap) runs.push([]);
    runs.at(-1).push(`${plot.x(sample.at_ms).toFixed(1)} ${plot.y(sample[key]).toFixed(1)}`);
    last = sample.at_ms;
  }
  const path = (points) => (points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h0.01`);
  return runs.map((points) => svg("path", { d: path(points), class: `line line-${index}` }));
}

function spacing(samples) {
  const steps = samples.slice(1).map((sample, index) => sample.at_ms - samples[index].at_ms).sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? Infinity;
}

function nearest({ samples, x }, offset) {
  if (!samples.length) return null;
  const place = offset + EDGE.left;
  let best = 0;
  samples.forEach((sample, index) => {
    if (Math.abs(x(sample.at_ms) - place) < Math.abs(x(samples[best].at_ms) - place)) best = index;
  });
  return best;
}

/** The figures at the place that is pointed at, or the latest. */
function drawCursor(plot) {
  const { samples, series } = plot;
  if (!samples.length) return;
  const later = pointed === null ? -1 : samples.findIndex((sample) => sample.at_ms >= pointed);
  const index = later < 0 ? samples.length - 1 : later;
  const sample = samples[index];
  const figures = series.map(({ key, name, text }) => ({ name, text: text(sample[key]), value: sample[key] }));
  plot.slider.value = index;
  plot.slider.setAttribute("aria-valuetext", `${moment(sample.at_ms, plot.now)}: ${figures.map(({ name, text }) => `${name} ${text}`).join(", ")}`);
  say(plot.when, pointed === null ? "" : moment(sample.at_ms, plot.now));
  keep(plot.legend, figures, ({ name }) => name, ({ name }) => legendEntry(name, series), (entry, { text }) => say(entry.lastChild, text));
  const x = plot.x(sample.at_ms).toFixed(1);
  const dots = figures.filter(({ value }) => known(value)).map(({ name, value }) =>
    svg("circle", { cx: x, cy: plot.y(value).toFixed(1), r: 4, class: `dot dot-${series.findIndex((each) => each.name === name)}` }));
  const rule = pointed === null ? [] : [svg("line", { x1: x, x2: x, y1: EDGE.top, y2: EDGE.height - EDGE.bottom, class: "rule" })];
  plot.mark.replaceChildren(...rule, ...dots);
}

function legendEntry(name, series) {
  const index = series.findIndex((each) => each.name === name);
  const swatch = svg("svg", { viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true" }, svg("path", { d: "M1 4h20", class: `line line-${index}` }));
  return element("li", "", swatch, element("span", "", name), element("strong"));
}
