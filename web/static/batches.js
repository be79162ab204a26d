// Batches, each with a bar of what became of its documents.
import { $, ago, el, keyed, number, put } from "./dom.js";

const PARTS = ["done", "unchanged", "retrying", "dead"];

const showRows = keyed($("batches"), (id) => {
  const state = el("span", { class: "pill" });
  const counts = el("span", { class: "counts" });
  const when = el("time", { class: "note" });
  const message = el("p", { class: "reason", hidden: true });
  const parts = Object.fromEntries(PARTS.map((part) => [part, el("i", { class: part })]));
  const bar = el(
    "div",
    { class: "progress", role: "progressbar", "aria-label": `Batch ${id}`, "aria-valuemin": "0" },
    ...Object.values(parts),
  );
  const node = el(
    "li",
    { class: "batch" },
    el("div", { class: "line" }, el("code", { text: id, title: id }), state, counts, when),
    bar,
    message,
  );
  return {
    node,
    update(batch) {
      const { status, done, unchanged, retrying, dead } = batch;
      const total = batch.total_documents;
      const seen = done + retrying + dead;
      node.dataset.state = status;
      state.dataset.state = status;
      put(state, status);
      put(when, ago(batch.timestamp));
      const more = [
        unchanged ? `${number(unchanged)} unchanged` : "",
        batch.superseded ? `${number(batch.superseded)} superseded` : "",
        retrying ? `${number(retrying)} retrying` : "",
        dead ? `${number(dead)} dead` : "",
      ].filter(Boolean);
      const of = total === null ? `${number(seen)} seen` : `${number(done)} of ${number(total)}`;
      put(counts, [of, ...more].join(" · "));
      // Of an unknown total only the proportions of what was seen are known.
      const whole = Math.max(total ?? seen, seen, 1);
      const sizes = { done: done - unchanged, unchanged, retrying, dead };
      for (const part of PARTS) parts[part].style.width = `${(100 * sizes[part]) / whole}%`;
      bar.classList.toggle("open", total === null && status !== "completed");
      bar.setAttribute("aria-valuemax", String(whole));
      bar.setAttribute("aria-valuenow", String(done + dead));
      bar.setAttribute("aria-valuetext", counts.textContent);
      put(message, batch.error_message ?? "");
      message.hidden = !batch.error_message;
    },
  };
});

/** Show the batches; return whether one of them is still in work. */
export function showBatches(batches) {
  $("batches").classList.toggle("empty", batches.length === 0);
  showRows(batches, (batch) => batch.batch_id);
  return batches.some((batch) => batch.status === "queued" || batch.status === "processing");
}
