// The worker: is it ready, its figures, its flows.
import { $, ago, ask, bytes, duration, el, keyed, number, put, rate } from "./dom.js";
import { spark } from "./spark.js";

const LABEL = { ok: "ready", degraded: "degraded", paused: "paused", unready: "not ready" };

const figures = new Map();

function figure(name, { title, sparked = false } = {}) {
  if (!figures.has(name)) {
    const value = el("dd", { class: "value" });
    const note = el("dd", { class: "note" });
    const line = sparked ? spark(`${name}, over the last minutes`) : null;
    const card = el("div", { class: "figure", title }, el("dt", { text: name }), value, note);
    if (line) card.append(el("dd", { class: "trend" }, line.node));
    $("figures").append(card);
    figures.set(name, { card, value, note, line });
  }
  return figures.get(name);
}

function show(name, value, note = "", options = {}) {
  const shown = figure(name, options);
  put(shown.value, value);
  put(shown.note, note);
  shown.card.classList.toggle("bad", Boolean(options.bad));
  if (shown.line) shown.line.add(options.sample);
}

const showFlows = keyed($("flows"), (name) => {
  const state = el("span", { class: "pill" });
  const reason = el("p", { class: "reason", hidden: true });
  const line = spark(`Rate of ${name}`);
  const cells = {};
  const cell = (key, label) => {
    cells[key] = el("dd");
    return el("div", { dataset: { cell: key } }, el("dt", { text: label }), cells[key]);
  };
  const topics = el("p", { class: "topics" });
  const node = el(
    "li",
    { class: "flow" },
    el(
      "div",
      { class: "who" },
      el("div", { class: "name" }, el("strong", { text: name }), state),
      topics,
    ),
    el("div", { class: "trend" }, line.node),
    el(
      "dl",
      {},
      cell("rate", "per second"),
      cell("lag", "behind"),
      cell("flight", "in flight"),
      cell("processed", "processed"),
      cell("retried", "retried"),
      cell("dead", "dead"),
    ),
    reason,
  );
  return {
    node,
    update(flow) {
      node.dataset.state = flow.state;
      put(state, flow.state);
      state.dataset.state = flow.state;
      put(reason, flow.reason);
      reason.hidden = !flow.reason;
      put(topics, flow.topics[0] ?? "");
      topics.title = flow.topics.join("\n"); // its retries and the re-keyed beside it
      line.add(flow.rate);
      put(cells.rate, rate(flow.rate));
      put(cells.lag, number(flow.lag));
      put(cells.flight, `${number(flow.records_in_flight)} · ${bytes(flow.bytes_in_flight)}`);
      put(cells.processed, number(flow.processed));
      put(cells.retried, number(flow.retried));
      put(cells.dead, number(flow.dead));
      cells.retried.classList.toggle("warn", flow.retried > 0);
      cells.dead.classList.toggle("bad", flow.dead > 0);
    },
  };
});

const sum = (flows, field) => flows.reduce((total, flow) => total + (flow[field] ?? 0), 0);

export function showWorker(health, stats) {
  const pill = $("state");
  put(pill, LABEL[health.status] ?? health.status);
  pill.dataset.state = health.status;
  showProblems(health.unready, Object.keys(health.degraded));

  const { flows } = stats;
  const total = sum(flows, "rate");
  const known = flows.filter((flow) => flow.lag !== null);
  const dead = sum(flows, "dead");
  const last = stats.last_processed;
  show("Per second", rate(total), last ? `last ${ago(last)}` : "nothing yet", {
    sparked: true,
    sample: total,
  });
  show("Processed", number(stats.messages_processed), `${number(sum(flows, "retried"))} retried`);
  show("Embeddings", number(stats.embeddings_generated), health.model?.split("/").pop() ?? "");
  show("Summaries", number(stats.summaries_generated), health.summarizer);
  show("Behind", known.length ? number(sum(known, "lag")) : "–", "records, this worker", {
    sparked: true,
    sample: sum(known, "lag"),
  });
  const letters = stats.dead_letters_open;
  show("Dead letters", number(letters), `open; ${number(dead)} died here, ${number(stats.errors)} errors`, {
    bad: letters > 0,
  });

  const held = flows.filter((flow) => flow.state === "held").length;
  put(
    $("flows-note"),
    flows.length === 0
      ? "this worker runs no flow"
      : `${flows.length} flows${held ? `, ${held} held` : ""}`,
  );
  showFlows(flows, (flow) => flow.name);

  const button = $("consume");
  button.disabled = false;
  button.dataset.do = stats.paused ? "/start" : "/stop";
  put(button, stats.paused ? "Resume" : "Pause");
  put(
    $("about"),
    `Tickertape ${health.version} · up ${duration(health.uptime_seconds)} · ` +
      `stores: ${health.stores.join(", ")} · model: ${health.model ?? "none"} · ` +
      `summaries: ${health.summarizer}`,
  );
}

function showProblems(unready, behind = []) {
  // How far it is behind changes all the time, and stands with its flow.
  const beside = behind.map((name) => [name, "is away or behind, and catches up by itself"]);
  const problems = [...Object.entries(unready), ...beside];
  const box = $("problems");
  // Said anew only when it changes: it is an alert.
  const text = JSON.stringify(problems);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  box.hidden = problems.length === 0;
  if (box.hidden) {
    box.replaceChildren();
    return;
  }
  const items = problems.map(([name, reason]) =>
    el("li", {}, el("strong", { text: name }), ` ${reason}`),
  );
  const title = Object.keys(unready).length ? "Not ready" : "Behind";
  box.replaceChildren(el("h2", { text: title }), el("ul", {}, ...items));
}

export function showLost(error) {
  const pill = $("state");
  put(pill, "no answer");
  pill.dataset.state = "unready";
  showProblems({ worker: `does not answer (${error.message}); trying again` });
}

export function bindConsume(refresh) {
  $("consume").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await ask(button.dataset.do, { method: "POST" });
      await refresh();
    } catch (error) {
      showLost(error);
    } finally {
      button.disabled = false;
    }
  });
}
