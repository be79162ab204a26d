// Search: the form, the passages that were found, and a document's whole.
import { $, ago, ask, el, number, put } from "./dom.js";
import { compared } from "./filters.js";

const filters = new Map();

export function bindSearch() {
  const form = $("search-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  for (const name of ["mode", "k"]) {
    for (const input of form.querySelectorAll(`[name=${name}]`)) {
      input.addEventListener("change", again);
    }
  }
  $("filter-button").addEventListener("click", addTyped);
  $("filter").addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      addTyped();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      $("q").focus();
    }
  });
  $("document-close").addEventListener("click", () => $("document").close());
  $("document").addEventListener("click", (event) => {
    if (event.target === $("document")) $("document").close(); // beside it
  });
  fromAddress();
}

/** A search's address can be shared: /?q=...&mode=...&filter.ticker=... */
function fromAddress() {
  const given = new URLSearchParams(location.search);
  const form = $("search-form");
  for (const [name, value] of given) {
    if (name.startsWith("filter.")) filters.set(name.slice(7), value);
  }
  for (const name of ["q", "mode", "k", "collection"]) {
    if (given.has(name)) form.elements[name].value = given.get(name);
  }
  showFilters();
  again();
}

/** What the form asks for, as POST takes it. */
export function searched() {
  const given = new FormData($("search-form"));
  const [q, mode, collection] = ["q", "mode", "collection"].map((name) =>
    String(given.get(name) ?? "").trim(),
  );
  return { q, mode, collection, filters: compared(filters) };
}

const again = () => $("q").value.trim() && search();

let latest = 0;

async function search() {
  const mine = ++latest; // an answer that was overtaken is dropped
  const fields = new FormData($("search-form"));
  const asked = new URLSearchParams();
  for (const name of ["q", "mode", "k", "collection"]) {
    const value = String(fields.get(name) ?? "").trim();
    if (value) asked.set(name, value);
  }
  for (const [name, value] of filters) asked.set(`filter.${name}`, value);
  history.replaceState(null, "", `?${asked}`);
  $("results").setAttribute("aria-busy", "true");
  try {
    const found = await ask(`/search?${asked}`);
    if (mine === latest) showResults(found, words(asked.get("q")));
  } catch (error) {
    if (mine !== latest) return;
    put($("took"), "");
    $("results").replaceChildren(el("li", { class: "nothing bad", text: error.message }));
  } finally {
    if (mine === latest) $("results").removeAttribute("aria-busy");
  }
}

function showResults({ results, read, took_ms: took }, marked) {
  const many = results.length === 1 ? "1 passage" : `${results.length} passages`;
  const named = [...read.companies, ...read.periods, ...read.forms].join(", ");
  const first = named ? ` · ${named} first` : "";
  put($("took"), `${many} in ${took < 10 ? took.toFixed(1) : Math.round(took)} ms${first}`);
  if (results.length === 0) {
    const why = filters.size ? "Nothing answers this with these filters." : "Nothing answers this.";
    $("results").replaceChildren(el("li", { class: "nothing", text: why }));
    return;
  }
  const best = Math.max(...results.map((result) => result.score), 1); // BM25 has no most
  $("results").replaceChildren(...results.map((result) => row(result, best, marked)));
}

function row(result, best, marked) {
  const { metadata } = result;
  const bar = el("i");
  bar.style.width = `${Math.max(2, (100 * result.score) / best)}%`;
  const place = result.chunk_count > 1 ? ` · ${result.chunk + 1} of ${result.chunk_count}` : "";
  return el(
    "li",
    { class: "result" },
    el(
      "div",
      { class: "line" },
      el("button", {
        type: "button",
        class: "title",
        text: metadata.title ?? result.id,
        onclick: () => open(result),
      }),
      el("span", { class: "score", title: "Score" }, el("b", {}, bar), result.score.toFixed(3)),
    ),
    el("p", { class: "passage" }, ...mark(result.excerpt, marked)),
    result.summary ? el("p", { class: "note", text: `Summary: ${short(result.summary, 240)}` }) : null,
    el(
      "div",
      { class: "chips" },
      el("span", { class: "note", text: `${result.collection} · ${result.id}${place}` }),
      ...Object.entries(metadata)
        .filter(([name, value]) => name !== "title" && isScalar(value))
        .slice(0, 8)
        .map(([name, value]) =>
          el("button", {
            type: "button",
            class: "chip",
            title: "Filter by this",
            text: `${name}: ${short(String(value))}`,
            onclick: () => addFilter(name, String(value)),
          }),
        ),
    ),
  );
}

const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value);
/** The text, or its beginning of whole words where there are any. */
function short(text, size = 40) {
  if (text.length <= size) return text;
  return `${text.slice(0, size - 1).replace(/(?<=\S)\s+\S*$/u, "")}…`;
}

// Marking these would only be noise.
const COMMON = new Set(
  (
    "and are but can did does for from had has have how into its not our that the their them " +
    "they this was were what when where which who why will with you your"
  ).split(" "),
);

const words = (text) =>
  (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter(
    (word) => word.length > 2 && !COMMON.has(word),
  );

/** The passage in pieces, with words of the question marked. */
function mark(text, wanted) {
  if (wanted.length === 0) return [text];
  const stems = wanted.map((word) => word.slice(0, Math.max(4, word.length - 2)));
  return text.split(/([\p{L}\p{N}]+)/gu).map((piece) => {
    const lower = piece.toLowerCase();
    return stems.some((stem) => lower.startsWith(stem)) ? el("mark", { text: piece }) : piece;
  });
}

function addTyped() {
  const input = $("filter");
  const [, name, sign, value] = input.value.match(/^([^<>=~:]+)(>=|<=|[=:<>~])(.+)$/) ?? [];
  if (!name?.trim() || !value?.trim()) {
    input.setCustomValidity("Write field=value, or >=, <= and a date, or ~ and part of a text");
    input.reportValidity();
    input.setCustomValidity("");
    return;
  }
  input.value = "";
  // In an address "published>=2024" is the field "published>"; what has no "=" is all name.
  if (sign === ">" || sign === "<") addFilter(`${name.trim()}${sign}${value.trim()}`, "");
  else addFilter(name.trim() + sign.replace(/[=:]/, ""), value.trim());
}

function addFilter(name, value) {
  filters.set(name, value);
  showFilters();
  again();
}

/** A filter as it is read: "ticker = ON", "published >= 2024", "company ~ micro". */
function said(name, value) {
  if (value === "") return name;
  const sign = /[<>~]$/.exec(name)?.[0] ?? "";
  const equals = sign === "~" ? "" : "=";
  return `${name.slice(0, name.length - sign.length)} ${sign}${equals} ${short(value)}`;
}

function showFilters() {
  $("filters").hidden = filters.size === 0;
  $("filters").replaceChildren(
    ...[...filters].map(([name, value]) =>
      el(
        "li",
        {},
        el("button", {
          type: "button",
          class: "chip on",
          text: `${said(name, value)}  ×`,
          "aria-label": `Remove the filter ${said(name, value)}`,
          onclick: () => {
            filters.delete(name);
            showFilters();
            again();
          },
        }),
      ),
    ),
  );
}

/** Show a document, with the passage of `result` found. */
export async function open(result) {
  put($("document-title"), result.metadata.title ?? result.id);
  $("document-body").replaceChildren(el("p", { class: "note", text: "…" }));
  $("document").showModal();
  try {
    const { documents } = await ask(`/documents/${encodeURIComponent(result.id)}`);
    $("document-body").replaceChildren(...documents.map((stored) => whole(stored, result)));
    $("document-body").querySelector(".found")?.scrollIntoView({ block: "center" });
  } catch (error) {
    $("document-body").replaceChildren(el("p", { class: "bad", text: error.message }));
  }
}

function whole(stored, result) {
  const facts = {
    store: stored.store,
    collection: stored.collection,
    version: stored.version,
    written: stored.updated_at ? ago(stored.updated_at) : "–",
    origin: stored.origin,
    batch: stored.batch_id ?? "–",
    model: stored.model ?? "–",
    hash: stored.content_hash,
    ...Object.fromEntries(
      Object.entries(stored.metadata).map(([name, value]) => [
        name,
        isScalar(value) ? String(value) : JSON.stringify(value),
      ]),
    ),
  };
  return el(
    "article",
    {},
    el(
      "dl",
      { class: "facts" },
      ...Object.entries(facts).map(([name, value]) =>
        el("div", {}, el("dt", { text: name }), el("dd", { text: value })),
      ),
    ),
    stored.deleted ? el("p", { class: "bad", text: "Deleted." }) : null,
    stored.summary ? el("p", { text: `Summary: ${stored.summary}` }) : null,
    ...stored.chunks.map((chunk) =>
      el(
        "section",
        {
          class:
            chunk.chunk === result.chunk && stored.collection === result.collection
              ? "chunk found"
              : "chunk",
        },
        el("span", { class: "note", text: number(chunk.chunk + 1) }),
        el("p", { text: chunk.text }),
      ),
    ),
  );
}
