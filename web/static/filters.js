// Filters as chips have them: a name with its sign, and a value, as an address gives them.
const KINDS = { ">=": "gte", ">": "gt", "<=": "lte", "<": "lt", "~": "contains" };

/** What these filters ask, as POST takes it: "published>" and a date are {published: {gte: date}}. */
export function compared(filters) {
  const fields = {};
  for (const [name, value] of filters) {
    const equals = name.endsWith("~") || (!value && /[<>~]/.test(name)) ? "" : "=";
    const [, field, sign, text] = /^(.*?)([<>]=?|[=~])(.*)$/s.exec(name + equals + value);
    (fields[field.trim()] ??= {})[KINDS[sign] ?? sign] = text.trim();
  }
  for (const [field, kinds] of Object.entries(fields)) {
    // Beside comparisons "=" stays, and is refused as it is by GET.
    if ("=" in kinds && Object.keys(kinds).length === 1) fields[field] = kinds["="];
  }
  return fields;
}
