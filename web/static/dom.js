// Elements are built, never parsed: whatever a document says stays text.

/** Make an element. `props`: class, text, on<event>, dataset, else attributes; null leaves out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const $ = (id) => document.getElementById(id);

/** Ask the worker. Throws an Error whose message is the problem's detail. */
export async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { Accept: "application/json", ...options.headers },
  });
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await response.json() : await response.text();
  if (!response.ok) throw new Error(body.detail ?? body.error?.message ?? response.statusText);
  return body;
}

/**
 * Keep a list's children by key, so that focus, hover and transitions survive an update.
 * `make(key)` returns {node, update(item)}.
 */
export function keyed(list, make) {
  const shown = new Map();
  return (items, keyOf) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, row] of shown) {
      if (!wanted.has(key)) {
        row.node.remove();
        shown.delete(key);
      }
    }
    items.forEach((item, index) => {
      const key = keyOf(item);
      if (!shown.has(key)) shown.set(key, make(key));
      const { node, update } = shown.get(key);
      if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
      update(item);
    });
  };
}

/** Set text only where it changed. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const compact = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumFractionDigits: 1,
});
const plain = new Intl.NumberFormat();

export const number = (value) =>
  value === null || value === undefined
    ? "–"
    : Math.abs(value) >= 100000
      ? compact.format(value)
      : plain.format(value);

export const rate = (value) => (value >= 10 ? number(Math.round(value)) : value.toFixed(1));

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let power = 0;
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000;
    power += 1;
  }
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .map(([size, unit], i) => [
      Math.floor((i ? seconds % parts[first][0] : seconds) / size),
      unit,
    ])
    .filter(([count], i) => i === 0 || count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** Epoch seconds, epoch milliseconds or ISO 8601, as "3 min ago". */
export function ago(time) {
  if (time === null || time === undefined) return "";
  const ms = typeof time === "number" ? (time > 1e11 ? time : time * 1000) : Date.parse(time);
  const seconds = Math.max(0, (Date.now() - ms) / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 2) return "now";
  return `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}
