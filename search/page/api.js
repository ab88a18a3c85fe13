// The service's HTTP API, and what goes wrong with it as a person can read it.

export const LIMIT = 24;
/** Products that can be left out before those that are asked for. */
export const MOST = 1000;
const FACETS = "category,brand";
const KEY = "freshline-key"; // kept for as long as the tab is open

/** Something to tell: `passing` when trying again may help, `keyless` when a key is needed. */
export class Trouble extends Error {
  constructor(title, detail, { passing = false, keyless = false } = {}) {
    super(detail);
    Object.assign(this, { title, passing, keyless });
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: authorization() });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The search service does not answer", "It may be restarting, or you are offline.", { passing: true });
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const passing = response.status >= 500 || response.status === 429;
  const kind = { passing, keyless: response.status === 401 };
  throw new Trouble(problem.title ?? `Error ${response.status}`, problem.detail ?? response.statusText, kind);
}

function authorization() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Ask with this key from now on. */
export const useKey = (key) => sessionStorage.setItem(KEY, key);

function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== null && value !== undefined) body.set(name, value);
  return { method: "POST", body };
}

const at = (productId) => `products/${encodeURIComponent(productId)}`;

/** The products most like a picture, like what words say, or both, as far as they meet the filters; null is absent. */
export function search({ image = null, text = null, offset = 0, ...filters }, signal) {
  return ask("/v1/search", { ...form({ image, text, offset, ...filters, limit: LIMIT, facets: FACETS }), signal });
}

/** The products that look most like another one. */
export function similar(productId, offset, signal) {
  return ask(`/v1/${at(productId)}/similar?limit=${LIMIT}&offset=${offset}`, { signal });
}

/** What the index holds for a product. */
export const product = (productId, signal) => ask(`/v1/${at(productId)}`, { signal });

/** List a product; its id. */
export const list = async (image, title) => (await ask("/v1/demo/products", form({ image, title }))).product_id;

/** Whether a listed product can be found yet. */
export const searchable = async (productId) => (await ask(`/v1/demo/${at(productId)}`)).searchable;

/** Where the browser can get a product's picture; null if nowhere. */
export function pictureOf({ product_id, image_urls, version }) {
  const url = image_urls[0] ?? "";
  if (/^https?:/i.test(url)) return url;
  const served = url.startsWith("file:") && document.body.dataset.pictures === "on";
  return served ? `/v1/${at(product_id)}/image?v=${version}` : null;
}
