// Rates by outcome, dead letters by reason, the canary's steps, and what the monitor could not find out.

function showOutcomes({ outcomes }) {
  const rows = Object.entries(outcomes ?? {}).sort(([, a], [, b]) => b - a);
  const most = rows[0]?.[1] || 1;
  byId("no-outcomes").hidden = rows.length > 0;
  sayWithCode(byId("no-outcomes"), outcomes ? "Nothing was worked on in the last 5 minutes." : "Only Prometheus knows what workers did: set `FRESHLINE_PROMETHEUS_URL` for the monitor.");
  keep(byId("outcomes"), rows, ([outcome]) => outcome,
    ([outcome]) => element("li", "", element("span", "", spaced(outcome)), element("strong"), element("span", "measure", element("i"))),
    (row, [, perSecond]) => {
      say(row.children[1], `${rate(perSecond)} /s`);
      row.querySelector("i").style.width = `${(100 * perSecond) / most}%`;
    });
}

function showLetters({ dead_letters: letters }) {
  const rows = letters.filter(({ recent, waiting }) => recent || waiting).sort((a, b) => b.waiting - a.waiting || b.recent - a.recent);
  byId("no-letters").hidden = rows.length > 0;
  keep(byId("letters"), rows, ({ reason }) => reason,
    ({ reason }) => element("li", "", element("span", "reason", spaced(reason)), element("strong"), element("span", "recent"), element("code", "", "freshline dead-letters list ", element("code", "", `--reason ${reason}`))),
    (row, { waiting, recent }) => {
      say(row.children[1], `${count(waiting)} waiting`);
      say(row.children[2], `${count(recent)} in 24 h`);
      mark(row, "tone", waiting ? "warn" : "plain");
    });
}

function showCanaries({ canaries }, now) {
  byId("no-canaries").hidden = canaries.length > 0;
  keep(byId("canaries"), canaries, ({ view }) => view, makeCanary, (item, canary) => updateCanary(item, canary, now));
}

function makeCanary({ view }) {
  const timeline = element("div", "timeline");
  timeline.ariaHidden = "true"; // the list below says the same
  return element("li", "", element("h3", "view-name", view), element("p", "went"), timeline, element("ol", "steps"), element("p", "message"));
}

function updateCanary(item, { last_success_ms: last, steps, failed_step: failed, message }, now) {
  const done = Object.entries(steps).filter(([step]) => step !== failed).map(([step, seconds]) => ({ step, seconds }));
  const all = failed ? [...done, { step: failed, failed: true, seconds: steps[failed] }] : done;
  const took = done.reduce((sum, { seconds }) => sum + seconds, 0);
  const ago = known(last) ? `${duration(Math.max(0, (now - last) / 1000))} ago` : null;
  say(part(item, "went"), failed ? `Failed at “${spaced(failed)}”; ${ago ? `last through ${ago}` : "it never got through yet"}` : ago ? `Through ${ago}, in ${duration(took)}` : "No round is over yet");
  mark(item, "tone", failed ? "bad" : ago ? "good" : "plain");
  part(item, "message").hidden = !message;
  say(part(item, "message"), message ?? "");
  keep(part(item, "timeline"), all, ({ step }) => step, () => element("i"), (bit, each) => {
    bit.style.flexGrow = 1000 * (each.failed ? took / 6 || 1 : Math.max(each.seconds, took / 200));
    mark(bit, "tone", each.failed ? "bad" : "good");
  });
  keep(part(item, "steps"), all, ({ step }) => step,
    ({ step }) => element("li", "", element("span", "tick-mark"), element("span", "", spaced(step)), element("strong")),
    (row, each) => {
      say(row.firstChild, each.failed ? "✕" : "✓");
      say(row.lastChild, each.failed ? "failed" : duration(each.seconds));
      mark(row, "tone", each.failed ? "bad" : "good");
    });
}

function showProblems({ problems }) {
  byId("problems").hidden = !problems.length;
  keep(byId("problem-list"), problems, (problem) => problem, () => element("li"), (row, problem) => say(row, problem));
}
