// Figures as a shopper reads them.

const LOCALE = document.documentElement.lang;
const AGO = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const LONGEST_FRESHNESS = 86_400;

/** "€12.50"; without a currency the bare amount, without an amount nothing. */
export function price(amount, currency) {
  if (amount === null || amount === undefined) return "";
  try {
    return new Intl.NumberFormat(LOCALE, { style: "currency", currency }).format(amount);
  } catch { // none, or one that is not made of three letters
    return [amount.toFixed(2), currency].filter(Boolean).join(" ");
  }
}

/** "3 minutes ago". */
export function ago(instant) {
  const past = Math.max(0, (Date.now() - Date.parse(instant)) / 1000);
  if (past < 1) return "just now";
  const [unit, length] = UNITS.find(([, each]) => past >= each);
  return AGO.format(-Math.floor(past / length), unit);
}

/** "1.2 s", "4 min", "2 h". */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3_600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

/** How soon a product was searchable; nothing where its index was rebuilt long after it was listed. */
export function freshness({ occurred_at, indexed_at }) {
  const seconds = Math.max(0, (Date.parse(indexed_at) - Date.parse(occurred_at)) / 1000);
  return seconds < LONGEST_FRESHNESS ? `searchable after ${duration(seconds)}` : "";
}
