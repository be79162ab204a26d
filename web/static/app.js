// The dashboard: asks this worker every second or few, less while nothing moves or nobody looks.
import { bindAdd } from "./add.js";
import { bindAnswer } from "./answer.js";
import { showBatches } from "./batches.js";
import { ask } from "./dom.js";
import { bindSearch } from "./search.js";
import { bindConsume, showLost, showWorker } from "./worker.js";

const BUSY_MS = 1000;
const IDLE_MS = 3000;
const LOST_MS = 5000;

let timer = null;

async function refresh() {
  clearTimeout(timer);
  let next = IDLE_MS;
  try {
    const [health, stats, recent] = await Promise.all([
      ask("/health"),
      ask("/stats"),
      ask("/recent-batches?limit=12"),
    ]);
    showWorker(health, stats);
    const working = showBatches(recent.batches);
    if (working || stats.flows.some((flow) => flow.records_in_flight > 0)) next = BUSY_MS;
  } catch (error) {
    showLost(error);
    next = LOST_MS;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, next);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
bindConsume(refresh);
bindAdd(refresh);
bindSearch();
bindAnswer();
refresh();
