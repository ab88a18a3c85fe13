// Narrowing down: category and brand, with how many products there are of each, and a range of prices.

const FIELDS = { category: "filter-category", brand: "filter-brand", price_min: "price-min", price_max: "price-max" };
const SELECTS = { category: "All categories", brand: "All brands" };
const byId = (id) => document.getElementById(id);

/** How many filters are in use. */
export const count = (filters) => Object.values(filters ?? {}).filter(Boolean).length;

/** As they stand in the page's address: without those that are not in use. */
export const toAddress = (filters) => Object.fromEntries(Object.entries(filters ?? {}).filter(([, value]) => value));

/** From the page's address. */
export const fromAddress = (query) => Object.fromEntries(Object.keys(FIELDS).map((name) => [name, query.get(name) || null]));

/**
 * Make the filters work.
 * @param onChange called with all of them, null for each that is not in use
 * @returns `show(question, facets)`: the filters of a question, with what there is to choose from
 */
export function setUpFilters(onChange) {
  const form = byId("filters");

  function show({ like, filters }, facets) {
    form.hidden = Boolean(like);
    if (like) return;
    for (const [name, all] of Object.entries(SELECTS)) fill(byId(FIELDS[name]), all, facets[name] ?? [], filters?.[name]);
    byId("price-min").value = filters?.price_min ?? "";
    byId("price-max").value = filters?.price_max ?? "";
    byId("filters-clear").hidden = !count(filters);
  }

  const chosen = () => Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, byId(id).value || null]));
  form.addEventListener("change", () => form.reportValidity() && onChange(chosen()));
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("filters-clear").addEventListener("click", () => {
    onChange({});
    byId(FIELDS.category).focus(); // the button goes
  });
  return { show };
}

/** What can be chosen; what is chosen stays, even where it finds nothing. */
function fill(select, all, values, chosen) {
  const counted = new Map(values.map(({ value, count: many }) => [String(value), many]));
  if (chosen && !counted.has(chosen)) counted.set(chosen, 0);
  const option = ([value, many]) => new Option(`${value} (${many})`, value, false, value === chosen);
  select.replaceChildren(new Option(all, ""), ...[...counted].map(option));
  select.closest("label").hidden = !counted.size;
}
