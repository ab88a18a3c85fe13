// Figures as an operator reads them.

const COUNT = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK_SECONDS = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const UNITS = [["d", 86_400, "h", 3_600], ["h", 3_600, "min", 60], ["min", 60, "", 0]];

const known = (value) => value !== null && value !== undefined;

/** "850 ms", "1.2 s", "12 s", "12 min", "1 h 12 min"; a dash for what is not known. */
function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds > 0 && seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.5) return `${seconds < 9.95 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  const [unit, length, small, part] = UNITS.find(([, each]) => seconds >= each - each / 120);
  if (!part) return `${Math.round(seconds / length)} min`;
  const parts = Math.round(seconds / part);
  const whole = Math.floor(parts / (length / part));
  const rest = parts % (length / part);
  return rest && whole < 10 ? `${whole} ${unit} ${rest} ${small}` : `${whole} ${unit}`;
}

/** "3,400", and "1.2M" where that would be long. */
function count(number) {
  if (!known(number)) return "–";
  return Math.abs(number) < 100_000 ? COUNT.format(number) : COMPACT.format(number);
}

/** "52", "3.4", "0.02": a rate a second. */
function rate(number) {
  if (!known(number)) return "–";
  if (number >= 100) return count(Math.round(number));
  return number && number < 0.095 ? "<0.1" : String(Number(number.toFixed(1)));
}

const clock = (atMs) => CLOCK.format(atMs);
const clockSeconds = (atMs) => CLOCK_SECONDS.format(atMs);

/** The time, with the day where it is another than today. */
function moment(atMs, now) {
  return new Date(atMs).toDateString() === new Date(now).toDateString() ? clockSeconds(atMs) : DAY.format(atMs);
}

const plural = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

/** A name with spaces, as a person would write it. */
const spaced = (name) => name.replaceAll("_", " ");
