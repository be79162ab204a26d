// One document, to Kafka; its batch then shows among the batches.
import { $, ask, put } from "./dom.js";

export function bindAdd(refresh) {
  $("add-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const given = [...new FormData(form)].filter(([, value]) => value.trim());
    put($("added"), "sending…");
    try {
      const { ids, batch_id: batch } = await ask("/documents", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(Object.fromEntries(given)),
      });
      put($("added"), `${ids[0]} is queued, as batch ${batch}`);
      form.reset();
      await refresh();
    } catch (error) {
      put($("added"), error.message);
    }
  });
}
