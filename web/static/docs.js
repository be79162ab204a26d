// /openapi.json as a page: what there is, what it takes and answers, and a form to try it.
import { $, el } from "./dom.js";

const NAME = /^#\/components\/schemas\//;

async function main() {
  const api = await (await fetch("/openapi.json")).json();
  $("version").textContent = `API ${api.info.version}`;
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(show(api, method, path, operation));
    }
  }
  $("docs").replaceChildren(
    el("p", { text: api.info.description }),
    ...[...tags].map(([tag, operations]) =>
      el("section", { class: "panel" }, el("h2", { text: tag }), ...operations),
    ),
  );
  const wanted = location.hash && document.getElementById(location.hash.slice(1));
  if (wanted) {
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

function show(api, method, path, operation) {
  return el(
    "details",
    { class: "operation", id: operation.operationId },
    el(
      "summary",
      {},
      el("span", { class: "method", dataset: { method }, text: method.toUpperCase() }),
      el("code", { text: path }),
      el("span", { class: "note", text: operation.summary }),
    ),
    ...prose(operation.description),
    el(
      "div",
      { class: "columns" },
      form(api, method, path, operation),
      el(
        "div",
        {},
        el("h3", { text: "Replies" }),
        ...Object.entries(operation.responses).map(([status, reply]) => showReply(api, status, reply)),
      ),
    ),
  );
}

/** Paragraphs, with `code` in them. */
function prose(text) {
  return text.split(/\n\s*\n/).map((paragraph) =>
    el(
      "p",
      { class: "about-it" },
      ...paragraph
        .split(/`([^`]*)`/)
        .map((piece, i) => (i % 2 ? el("code", { text: piece }) : piece)),
    ),
  );
}

function showReply(api, status, reply) {
  const shapes = Object.entries(reply.content ?? {}).map(([media, { schema }]) => {
    const shape = !schema ? "" : `\n${JSON.stringify(example(api, schema), null, 2)}`;
    return el("pre", { text: `${media}${shape}` });
  });
  return el(
    "details",
    { class: "reply" },
    el("summary", { text: `${status} ${reply.description}` }),
    ...shapes,
  );
}

function form(api, method, path, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const shape = parameter.schema ?? parameter.content["application/json"].schema;
    const schema = shape.anyOf?.find((one) => one.type !== "null") ?? shape;
    const choices = schema.enum ?? (schema.type === "boolean" ? ["false", "true"] : null);
    const props = { name: parameter.name, required: parameter.required };
    const input = choices
      ? el("select", props, el("option"), ...choices.map((text) => el("option", { text })))
      : el("input", { ...props, autocomplete: "off", placeholder: placeholder(shape) });
    return { parameter, input };
  });
  const content = operation.requestBody?.content["application/json"];
  const body = content
    ? el("textarea", { rows: 9, spellcheck: "false", "aria-label": "Body" })
    : null;
  if (body) body.value = JSON.stringify(example(api, content.schema), null, 2);
  const output = el("pre", { hidden: true, tabindex: "0", "aria-live": "polite" });
  return el(
    "form",
    {
      class: "try",
      onsubmit: (event) => {
        event.preventDefault();
        send(method, path, inputs, body, output);
      },
    },
    el("h3", { text: "Try it" }),
    ...inputs.map(({ parameter, input }) =>
      el(
        "label",
        {},
        el("span", {}, el("code", { text: parameter.name }), parameter.required ? " (required)" : ""),
        input,
        parameter.description ? el("span", { class: "note", text: parameter.description }) : null,
      ),
    ),
    body,
    el("button", { type: "submit", text: `Send ${method.toUpperCase()}` }),
    output,
  );
}

async function send(method, path, inputs, body, output) {
  const query = new URLSearchParams();
  let address = path;
  for (const { parameter, input } of inputs) {
    if (input.value === "") continue;
    if (parameter.in === "path") {
      address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    } else query.set(parameter.name, input.value);
  }
  if (query.size) address += `?${query}`;
  output.hidden = false;
  output.textContent = "…";
  try {
    const response = await fetch(address, {
      method: method.toUpperCase(),
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body?.value,
    });
    const text = await response.text();
    output.textContent = `${method.toUpperCase()} ${address}\n${response.status} ${response.statusText}\n\n${pretty(text)}`;
  } catch (error) {
    output.textContent = error.message;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const placeholder = (schema) =>
  schema.default === undefined || schema.default === null || typeof schema.default === "object"
    ? ""
    : String(schema.default);

/** A value that fits the schema. */
function example(api, schema, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref) {
    const named = api.components.schemas[schema.$ref.replace(NAME, "")];
    return example(api, named, depth + 1);
  }
  if (schema.const !== undefined) return schema.const;
  if (schema.examples) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  if (schema.properties) {
    const names = Object.keys(schema.properties);
    return Object.fromEntries(
      names.map((name) => [name, example(api, schema.properties[name], depth + 1)]),
    );
  }
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return example(api, options[0], depth + 1);
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  switch (schema.type) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    case "array":
      return [example(api, schema.items, depth + 1)];
    default:
      return {};
  }
}

main().catch((error) => {
  $("docs").replaceChildren(el("p", { class: "bad", text: error.message }));
});
