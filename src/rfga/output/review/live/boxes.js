// Boxes as numbers: edges [x0, y0, x1, y1] in pixels of the photograph, whose size is [width, height].

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const tenth = (value) => Math.round(value * 10) / 10;

export const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

/** Moved by dx, dy, without leaving the photograph. */
export function moved([x0, y0, x1, y1], dx, dy, [width, height]) {
  const x = clamp(dx, -x0, width - x1), y = clamp(dy, -y0, height - y1);
  return [x0 + x, y0 + y, x1 + x, y1 + y].map(tenth);
}

/** With the edges that a handle (such as "nw" or "e") holds moved by dx, dy; at least `least` pixels wide and high. */
export function resized([x0, y0, x1, y1], handle, dx, dy, [width, height], least = 1) {
  if (handle.includes("w")) x0 = clamp(x0 + dx, 0, x1 - least);
  if (handle.includes("e")) x1 = clamp(x1 + dx, x0 + least, width);
  if (handle.includes("n")) y0 = clamp(y0 + dy, 0, y1 - least);
  if (handle.includes("s")) y1 = clamp(y1 + dy, y0 + least, height);
  return [x0, y0, x1, y1].map(tenth);
}

/** Between two points, wherever they lie, as far as the photograph goes. */
export function between([ax, ay], [bx, by], [width, height]) {
  const x = [clamp(ax, 0, width), clamp(bx, 0, width)].sort((a, b) => a - b);
  const y = [clamp(ay, 0, height), clamp(by, 0, height)].sort((a, b) => a - b);
  return [x[0], y[0], x[1], y[1]].map(tenth);
}

/** Half as wide and high as the photograph, in its middle. */
export const middle = ([width, height]) => [width / 4, height / 4, 0.75 * width, 0.75 * height].map(tenth);

/** The eight places to take hold of a box: name and position. */
export function handles([x0, y0, x1, y1]) {
  const x = { w: x0, "": (x0 + x1) / 2, e: x1 }, y = { n: y0, "": (y0 + y1) / 2, s: y1 };
  return ["nw", "n", "ne", "w", "e", "sw", "s", "se"].map((name) => ({
    name,
    x: x[name.includes("w") ? "w" : name.includes("e") ? "e" : ""],
    y: y[name.includes("n") ? "n" : name.includes("s") ? "s" : ""],
  }));
}
