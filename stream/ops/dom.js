// Elements. What the monitor says is only ever text, and what stays on the page stays the same element.

const byId = (id) => document.getElementById(id);

/** An element of a class with what is in it. */
function element(name, className = "", ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function svg(name, attributes, ...content) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** Change a text only if it is another: selections and screen readers are left in peace. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same with commands: what is between backticks. */
function sayWithCode(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(...text.split("`").map((each, index) => (index % 2 ? element("code", "", each) : each)));
}

function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

const part = (parent, name) => parent.querySelector(`:scope .${name}`);

/** Make the children of `parent` those of `items`: who stays is kept, focus and all. */
function keep(parent, items, keyOf, create, update) {
  const wanted = new Map(items.map((item) => [String(keyOf(item)), item]));
  const present = new Map();
  for (const child of [...parent.children]) {
    if (wanted.has(child.dataset.key) && !present.has(child.dataset.key)) present.set(child.dataset.key, child);
    else child.remove();
  }
  let place = parent.firstElementChild;
  for (const [key, item] of wanted) {
    const child = present.get(key) ?? create(item);
    child.dataset.key = key;
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
}

/** Terms and what they are: `[[term, description, tone], …]`. */
function terms(list, pairs) {
  keep(list, pairs, ([term]) => term,
    ([term]) => element("div", "term", element("dt", "", term), element("dd")),
    (pair, [, description, tone = ""]) => {
      say(pair.lastElementChild, description);
      mark(pair, "tone", tone);
    });
}

/** "As a table": closed at first, filled while it is open. */
function tableOf(name) {
  const table = element("table", "", element("caption", "sr", name), element("thead"), element("tbody"));
  const scroll = element("div", "scroll", table);
  Object.assign(scroll, { tabIndex: 0, role: "region", ariaLabel: `${name}, as a table` });
  const made = element("details", "as-table", element("summary", "", "As a table"), scroll);
  made.firstElementChild.append(element("span", "sr", `: ${name}`));
  return made;
}

/** Fill it: `columns` are `[heading, (row) => text]`; the first names the row. */
function fillTable(details, columns, rows, keyOf) {
  const draw = () => details.open && (headings(details, columns), body(details, columns, rows, keyOf));
  details.ontoggle = draw;
  draw();
}

function headings(details, columns) {
  const cell = (text) => Object.assign(element("th", "", text), { scope: "col" });
  if (!details.querySelector("thead tr")) {
    details.querySelector("thead").append(element("tr", "", ...columns.map(([heading]) => cell(heading))));
  }
}

function body(details, columns, rows, keyOf) {
  const create = () => {
    const first = Object.assign(element("th"), { scope: "row" });
    return element("tr", "", first, ...columns.slice(1).map(() => element("td")));
  };
  keep(details.querySelector("tbody"), rows, keyOf, create, (line, row) => {
    columns.forEach(([, text], index) => say(line.children[index], text(row)));
  });
}
