// Views, the serving one first, and the lanes of each.

const WHAT_FOR = { live: "events as they are listed", retry: "events that image hosts held up", replay: "events that are sent again" };
const LANES = Object.keys(WHAT_FOR);
const barsOf = new WeakMap();

function showViews(state) {
  const order = [...state.views].sort((a, b) => b.serving - a.serving);
  keep(byId("views"), order, ({ name }) => name, makeView, (card, view) => updateView(card, view, state));
  byId("no-views").hidden = order.length > 0;
}

function makeView({ name }) {
  const top = element("header", "view-top", element("h3", "view-name", name), element("span", "badge"), element("p", "view-facts"));
  return element("article", "card view", top, element("p", "none", "No lane of it is known yet."), element("div", "lanes"));
}

function updateView(card, view, state) {
  const badge = part(card, "badge");
  say(badge, view.serving ? "serving" : "building");
  mark(badge, "tone", view.serving ? "good" : "plain");
  const points = known(view.points) ? plural(view.points, "point") : "points not known: Qdrant did not say";
  say(part(card, "view-facts"), `space ${view.space || "not known"} · ${points}`);
  const lanes = [...view.lanes].sort((a, b) => LANES.indexOf(a.lane) - LANES.indexOf(b.lane));
  part(card, "none").hidden = lanes.length > 0;
  keep(part(card, "lanes"), lanes, ({ lane }) => lane, (lane) => makeLane(view, lane), (row, lane) => updateLane(row, view, lane, state));
}

function makeLane(view, { lane }) {
  const bars = makeBars(`Lag per partition, ${lane} lane of ${view.name}`);
  const name = element("div", "lane-name", element("h4", "", lane), element("p", "lane-for", WHAT_FOR[lane] ?? ""), element("p", "workers"), element("code", "start"));
  const row = element("section", "lane", name, element("dl", "terms"), bars.block);
  row.ariaLabel = `${lane} lane of ${view.name}`;
  barsOf.set(row, bars);
  return row;
}

function updateLane(row, view, lane, state) {
  const limits = limitsOf(view, lane.lane, state);
  const missing = !lane.members && (lane.lag_events > 0 || lane.lane === "live");
  const workers = part(row, "workers");
  say(workers, missing ? "No worker!" : lane.members ? plural(lane.members, "worker") : "no worker, none needed");
  mark(workers, "tone", missing ? "bad" : lane.members ? "good" : "plain");
  part(row, "start").hidden = !missing;
  sayWithCode(part(row, "start"), `${view.serving ? "" : `FRESHLINE_VIEW=${view.name} `}freshline worker \`--lane ${lane.lane}\``);
  part(row, "terms").title = `consumer group ${lane.group}`;
  terms(part(row, "terms"), [
    ["Waiting", count(lane.lag_events)],
    ["Oldest", duration(lane.oldest_pending_seconds), toneOf(lane.oldest_pending_seconds, limits)],
    ["In", `${rate(lane.arrival_rate)} /s`],
    ["Done", `${rate(lane.work_rate)} /s`],
    ["Caught up", catchUp(lane), lane.lag_events && !known(lane.catch_up_seconds) ? "bad" : ""],
  ]);
  updateBars(barsOf.get(row), [...lane.partitions].sort((a, b) => a.partition - b.partition), limits);
}

/** From when on waiting is late, and past the promise: parked events wait by intention, and only what serves has hurry. */
function limitsOf(view, lane, { goal_seconds: goal, promise_seconds: promise }) {
  if (!view.serving || lane === "replay") return { goal: Infinity, promise: Infinity };
  return { goal: lane === "live" ? goal : Infinity, promise };
}

function toneOf(seconds, { goal, promise }) {
  if (seconds > promise) return "bad";
  return seconds > goal ? "warn" : "";
}

/** "in 4 min", or why not; after "caught up". */
function catchUp({ lag_events: lag, catch_up_seconds: seconds }) {
  if (!lag || (known(seconds) && seconds < 1)) return "now";
  return known(seconds) ? `in ${duration(seconds)}` : "never";
}
