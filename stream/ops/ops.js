// The page: asks the monitor every 5 s, and shows what it knows.

const PAUSE = 5_000;
const PATIENCE = 10_000;
const FAILURES = 2; // a question that fails once is asked again before it counts
const address = new URL(location.pathname.endsWith("/") ? "state.json" : `${location.pathname.split("/").at(-1)}/state.json`, location.href);

let state = null;
let behind = 0; // milliseconds that this machine's clock is behind the monitor's
let failures = 0;
let trouble = null;
let paused = false;
let timer = null;

const now = () => Date.now() + behind;

function outside(text) {
  return Object.assign(new Error(text), { told: true });
}

async function ask() {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw outside(`It answered ${answer.status} to this page.`);
  const date = Date.parse(answer.headers.get("Date"));
  const told = await answer.json();
  if (!Number.isFinite(told?.at_ms)) throw outside("It answered with something else than its state.");
  return { told, skew: Number.isNaN(date) ? 0 : date - Date.now() };
}

async function refresh() {
  clearTimeout(timer);
  try {
    if (!paused) {
      const { told, skew } = await ask();
      state = told;
      behind = Math.abs(skew) > 2_000 ? skew : 0; // `Date` tells whole seconds
      [failures, trouble] = [0, null];
    }
  } catch (error) {
    failures += 1;
    if (failures >= FAILURES || !state) trouble = error.told ? error.message : "It can't be reached from here.";
  }
  show();
  timer = setTimeout(refresh, PAUSE);
}

function show() {
  const said = verdict(state, now(), paused && !trouble ? null : trouble);
  showVerdict(said);
  if (!state) return;
  say(byId("asof"), paused ? `Paused at ${clockSeconds(state.at_ms)}` : `As of ${clockSeconds(state.at_ms)}`);
  say(byId("version"), `Freshline ${state.version}`);
  mark(document.body, "age", said.kind === "Blind" ? "old" : "new");
  showFigures();
  showProblems(state);
  for (const plot of plots) updatePlot(plot, state, now());
  showViews(state);
  showOutcomes(state);
  showLetters(state);
  showCanaries(state, now());
}

function showVerdict({ kind, tone, says, more }) {
  if (byId("kind").textContent !== kind) say(byId("announced"), `${kind}: ${says}`); // not each second that passes
  mark(document.body, "tone", tone);
  say(byId("kind"), kind);
  say(byId("says"), says);
  sayWithCode(byId("more"), more);
  document.title = `${kind} · Freshline operations`;
}

function showFigures() {
  const serving = servingOf(state);
  const live = laneOf(serving, "live");
  const typical = lastFreshness(state);
  const waiting = state.dead_letters.reduce((sum, letter) => sum + letter.waiting, 0);
  terms(byId("figures"), [
    ["Oldest waiting", duration(live?.oldest_pending_seconds), live ? toneOf(live.oldest_pending_seconds, limitsOf(serving, "live", state)) : ""],
    ["Events waiting", count(live?.lag_events)],
    ["Freshness p50", duration(typical?.freshness_p50)],
    ["Freshness p99", duration(typical?.freshness_p99)],
    ["Live workers", count(live?.members), live?.members === 0 ? "bad" : ""],
    ["Dead letters", count(waiting), waiting ? "warn" : ""],
  ]);
}

const highest = (samples, ...keys) => samples.reduce((most, sample) => Math.max(most, ...keys.map((key) => sample[key] ?? 0)), 0);
const soon = ({ interval_seconds: interval }) => `No figures yet: they come as the monitor looks, every ${duration(interval ?? 15)}.`;
const perSecond = (value) => `${rate(value)} /s`;

makePlot(byId("oldest"), {
  title: "Oldest waiting", hint: soon,
  series: [{ key: "oldest_pending_seconds", name: "oldest", text: duration }],
  scaleOf: (samples, { promise_seconds: promise }) => logarithmic(Math.max(2.2 * promise, 1.3 * highest(samples, "oldest_pending_seconds"))),
  linesOf: ({ goal_seconds: goal, promise_seconds: promise }) => [[goal, "goal"], [promise, "promise"]],
});
makePlot(byId("freshness"), {
  title: "Freshness", hint: () => "From listed to searchable, as the workers measure it: set `FRESHLINE_PROMETHEUS_URL` for the monitor to see it here.",
  series: [{ key: "freshness_p50", name: "p50", text: duration }, { key: "freshness_p99", name: "p99", text: duration }],
  scaleOf: (samples, { goal_seconds: goal }) => logarithmic(Math.max(2 * goal, 1.3 * highest(samples, "freshness_p50", "freshness_p99"))),
  linesOf: ({ goal_seconds: goal, promise_seconds: promise }) => [[goal, "goal"], [promise, "promise"]],
});
makePlot(byId("rates"), {
  title: "Arrivals and work done", hint: soon,
  series: [{ key: "arrival_rate", name: "arrived", text: perSecond }, { key: "work_rate", name: "done", text: perSecond }],
  scaleOf: (samples) => linear(highest(samples, "arrival_rate", "work_rate")),
});

byId("pause").addEventListener("click", () => {
  paused = !paused;
  say(byId("pause"), paused ? "Go on" : "Pause");
  refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
