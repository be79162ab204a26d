// A line of the last samples, without axes: is it flowing, is it steady.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 28;
const SAMPLES = 60;

/** Return {node, add(value)}. */
export function spark(label) {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  node.setAttribute("preserveAspectRatio", "none");
  node.setAttribute("class", "spark");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", label);
  const area = document.createElementNS(SVG, "path");
  area.setAttribute("class", "area");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("class", "line");
  node.append(area, line);
  const samples = [];
  return {
    node,
    add(value) {
      samples.push(value);
      if (samples.length > SAMPLES) samples.shift();
      const top = Math.max(1, ...samples);
      const step = WIDTH / (SAMPLES - 1);
      const start = WIDTH - (samples.length - 1) * step;
      const points = samples.map((sample, i) => {
        const x = (start + i * step).toFixed(1);
        const y = (HEIGHT - 2 - (sample / top) * (HEIGHT - 4)).toFixed(1);
        return `${x} ${y}`;
      });
      // One sample is drawn as a short level line.
      if (points.length === 1) points.unshift(`${(start - step).toFixed(1)} ${points[0].split(" ")[1]}`);
      line.setAttribute("d", `M${points.join("L")}`);
      const left = points[0].split(" ")[0];
      area.setAttribute("d", `M${left} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
    },
  };
}
