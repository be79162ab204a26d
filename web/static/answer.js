// The answer box: an answer as it is written, its sources to open, doubts about its sentences.
import { $, el, put } from "./dom.js";
import { open, searched } from "./search.js";

// /?q=...&ask=1 asks at once; the search takes the address over
const asked = new URLSearchParams(location.search).has("ask");

let latest = null; // what is being written; a new question ends it

export function bindAnswer() {
  $("ask-button").addEventListener("click", () => $("q").reportValidity() && answer());
  $("answer-stop").addEventListener("click", () => latest?.abort());
  if (asked && $("q").value.trim()) answer();
}

async function answer() {
  latest?.abort();
  const mine = new AbortController();
  latest = mine;
  const { q: question, mode, collection, filters } = searched();
  $("answer").hidden = false;
  $("answer").setAttribute("aria-busy", "true");
  $("answer-stop").hidden = false;
  $("answer-sources").replaceChildren();
  $("answer-text").replaceChildren();
  put($("answer-note"), "reading");
  const body = { question, mode, filters, stream: true, ...(collection ? { collection } : {}) };
  try {
    for await (const [name, data] of events("/v1/ask", body, mine.signal)) {
      if (mine !== latest) return;
      if (name === "sources") showSources(data.sources);
      else if (name === "content") $("answer-text").append(data.text);
      else if (name === "done") showDone(data);
      else if (name === "error") throw new Error(data.error?.message ?? data.detail);
    }
  } catch (error) {
    if (mine !== latest) return;
    const stopped = error.name === "AbortError";
    put($("answer-note"), stopped ? "stopped" : "");
    if (!stopped) $("answer-text").append(el("p", { class: "bad", text: error.message }));
  } finally {
    if (mine === latest) {
      $("answer").removeAttribute("aria-busy");
      $("answer-stop").hidden = true;
    }
  }
}

/** Server-sent events of a POST, which EventSource cannot make. */
async function* events(path, body, signal) {
  const response = await fetch(path, {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    const problem = await response.json();
    throw new Error(problem.error?.message ?? problem.detail ?? response.statusText);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (held + value).split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)];
        }),
      );
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

function showSources(sources) {
  put($("answer-note"), sources.length ? "writing" : "");
  $("answer-sources").replaceChildren(
    ...sources.map((source) =>
      el(
        "li",
        { id: `source-${source.number}` },
        el(
          "details",
          {},
          el(
            "summary",
            {},
            el("b", { text: `[${source.number}] ` }),
            source.title ?? source.id,
            el("span", { class: "note", text: ` ${source.collection} · ${source.id}` }),
          ),
          el("p", { class: "passage", text: source.text }),
          el("button", {
            type: "button",
            class: "quiet",
            text: "The whole document",
            onclick: () => open({ ...source, metadata: source.metadata }),
          }),
        ),
      ),
    ),
  );
}

function showDone(answer) {
  const wrong = answer.sentences.filter((sentence) => !sentence.supported);
  const doubts = wrong.length ? ` · ${wrong.length} not supported` : "";
  put($("answer-note"), `${answer.model} · ${(answer.took_ms / 1000).toFixed(1)} s${doubts}`);
  if (answer.cut) $("answer-text").append(el("p", { class: "bad", text: "Cut at its length." }));
  if (wrong.length === 0) return;
  $("answer-text").replaceChildren(
    ...answer.sentences.flatMap((sentence) => [
      sentence.supported
        ? el("span", { text: sentence.text })
        : el("mark", { class: "doubt", title: why(sentence), text: sentence.text }),
      " ",
    ]),
    el("ul", { class: "doubts" }, ...wrong.map((one) => el("li", { text: why(one) }))),
  );
}

function why(sentence) {
  const figures = sentence.figures.filter((figure) => !figure.stands).map((one) => one.text);
  if (figures.length) return `Not in its sources: ${figures.join(", ")}`;
  if (sentence.unknown.length) return `No such source: [${sentence.unknown.join("], [")}]`;
  return `Rests on no source: ${sentence.text.slice(0, 80)}`;
}
