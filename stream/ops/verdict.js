// The one sentence: fresh, late, burning, or blind.

const HOUR = 3600;

const servingOf = (state) => state.views.find((view) => view.serving);
const laneOf = (view, name) => view?.lanes.find(({ lane }) => lane === name);

/** The last figures of freshness that the monitor had. */
const lastFreshness = (state) => state.history.findLast((sample) => known(sample.freshness_p50));

/**
 * What is to be said of a state.
 * @param now milliseconds by the monitor's clock
 * @param trouble why it could not be asked just now; null if it could
 * @returns its word, its tone (good, warn, bad, blind), the sentence, and more of it
 */
function verdict(state, now, trouble) {
  if (!state) return word("Blind", "blind", "the monitor does not answer.", trouble);
  const patience = 4 * (state.interval_seconds ?? 15) * 1000 + 10_000;
  if (trouble || now - state.at_ms > patience) return blind(state, now, trouble);
  if (!state.views.length) return empty(state);
  const serving = servingOf(state);
  if (!serving) return word("Unserved", "bad", "no view serves searches.", "The alias names none of these views: `freshline doctor` says why.");
  return judged(state, serving);
}

const word = (kind, tone, says, more = "") => ({ kind, tone, says, more: more ?? "" });

function blind(state, now, trouble) {
  const since = `the monitor has no news since ${moment(state.at_ms, now)}, ${duration(Math.max(0, (now - state.at_ms) / 1000))} ago.`;
  return word("Blind", "blind", since, `${trouble ?? "It answers, but has not looked since: see its log."} What is below is from then.`);
}

function empty(state) {
  if (state.problems.length) return word("Blind", "blind", "the monitor sees no view.", "It could not find out what is below.");
  return word("Empty", "blind", "there is no view yet.", "`freshline setup` makes the topics and the first one.");
}

function judged(state, serving) {
  const live = laneOf(serving, "live");
  const live_wait = live?.oldest_pending_seconds ?? 0;
  const oldest = Math.max(live_wait, laneOf(serving, "retry")?.oldest_pending_seconds ?? 0);
  const waited = `the oldest event has waited ${duration(oldest)}.`;
  if (oldest > state.promise_seconds) return word("Burning", "bad", `${past(state.promise_seconds)}: ${waited}`, outlook(serving));
  if (live && !live.members) return word("Stopped", "bad", stopped(live), "No worker is in the live lane's group: start `freshline worker --lane live`.");
  if (live_wait > state.goal_seconds) return word("Late", "warn", waited, outlook(serving));
  return canaries(state, serving) ?? unsure(state) ?? fresh(state, serving, live_wait);
}

const past = (promise) => (promise === HOUR ? "past the hour" : `past the promise of ${duration(promise)}`);

const stopped = ({ lag_events: lag }) =>
  (lag ? `nobody works, and ${plural(lag, "event")} ${lag === 1 ? "waits" : "wait"}.` : "nobody works: what is listed now will wait.");

function canaries(state, serving) {
  const failed = state.canaries.find(({ view, failed_step: step }) => view === serving.name && step);
  return failed && word("Failing", "warn", `the canary did not get through “${spaced(failed.failed_step)}”.`, failed.message?.replaceAll("`", "'"));
}

function unsure(state) {
  if (!state.problems.length) return null;
  return word("Unsure", "warn", "fresh as far as is known, but the monitor could not find out everything.", "What is missing is named below.");
}

function fresh(state, serving, waited) {
  const typical = lastFreshness(state)?.freshness_p50;
  if (known(typical) && typical > state.goal_seconds) return word("Late", "warn", `a product listed now is searchable in about ${duration(typical)}.`, outlook(serving));
  const says = known(typical)
    ? `a product listed now is searchable in about ${duration(typical)}.`
    : waited ? `nothing has waited longer than ${duration(waited)}.` : "nothing waits, all that was listed is searchable.";
  return word("Fresh", "good", says, aside(serving));
}

function outlook(serving) {
  const live = laneOf(serving, "live");
  if (!live) return "";
  if (!live.members) return "No worker is in the live lane's group: start `freshline worker --lane live`.";
  if (!live.lag_events) return aside(serving);
  const { catch_up_seconds: seconds } = live;
  const ahead = known(seconds) ? `the live lane is caught up in about ${duration(seconds)}` : "at these rates the live lane never catches up";
  return `${plural(live.lag_events, "event")} ${live.lag_events === 1 ? "waits" : "wait"}; ${ahead}.`;
}

/** What goes on beside the live lane. */
function aside(serving) {
  const parked = laneOf(serving, "retry");
  const replay = laneOf(serving, "replay");
  const said = [];
  if (parked?.lag_events) said.push(`${plural(parked.lag_events, "event")} ${parked.lag_events === 1 ? "is" : "are"} parked for ill image hosts, the oldest for ${duration(parked.oldest_pending_seconds)}.`);
  if (replay?.lag_events) said.push(`A replay has ${count(replay.lag_events)} to go.`);
  return said.join(" ");
}
