// The photograph that is worked on: its boxes are drawn, moved, resized and deleted with mouse and keys.
import { area, between, handles, middle, moved, resized } from "./boxes.js";

const SVG = "http://www.w3.org/2000/svg";
const HANDLE = 10, CLICK = 4; // sizes on the screen, in pixels
const ROOM = 12; // around the photograph, for handles at its edges
const STEP = 0.01; // of the longer side, for a key
const SETTLED_MS = 600; // after the last key a move by keys is one change

/** An SVG element with attributes. */
export function made(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/**
 * @param stage the element that the photograph is fitted into
 * @param names of the classes, by index
 * @param changed called with all boxes once a change has ended
 * @param chosen called when another box is selected
 */
export function createStage(stage, names, changed, chosen) {
  const frame = stage.querySelector("#frame"), svg = stage.querySelector("svg");
  let size = [1, 1], boxes = [], selected = -1, drag = null, settling = 0, newClass = 0;

  const unit = () => size[0] / Math.max(1, frame.clientWidth); // pixels of the photograph in one of the screen

  function fit() {
    const scale = Math.min((stage.clientWidth - ROOM) / size[0], (stage.clientHeight - ROOM) / size[1]);
    frame.style.width = Math.max(1, Math.floor(size[0] * scale)) + "px";
    frame.style.height = Math.max(1, Math.floor(size[1] * scale)) + "px";
    paint();
  }

  function paint() {
    const px = unit();
    svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    svg.replaceChildren();
    // Small boxes last, so that they can be taken hold of inside of large ones.
    const order = boxes.map((_, index) => index).sort((a, b) => area(boxes[b].edges) - area(boxes[a].edges));
    for (const index of order) paintBox(boxes[index], index, px);
    if (drag && drag.kind === "draw" && drag.edges) paintBox({ edges: drag.edges, class: -1, score: null }, -1, px);
    if (boxes[selected]) paintHandles(boxes[selected].edges, px);
  }

  function paintBox({ edges: [x0, y0, x1, y1], class: label, score }, index, px) {
    const kind = score === null ? "person" : "found";
    const group = made("g", { class: `box ${kind}${index === selected ? " selected" : ""}`, "data-index": index });
    const shape = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    group.append(made("rect", { class: "edge", ...shape }), made("rect", { class: "line", ...shape }));
    const text = made("text", { x: x0 + 5 * px, y: y0 + 16 * px, "font-size": 13 * px, "stroke-width": 3 * px });
    text.textContent = (names[label] || "") + (score === null ? "" : ` ${Math.round(100 * score)} %`);
    group.append(text);
    svg.append(group);
  }

  function paintHandles(edges, px) {
    for (const { name, x, y } of handles(edges)) {
      const side = HANDLE * px;
      svg.append(made("rect", {
        class: `handle ${name}`, "data-handle": name, x: x - side / 2, y: y - side / 2, width: side, height: side,
      }));
    }
  }

  function select(index) {
    selected = index;
    paint();
    chosen(boxes[index] || null, index);
  }

  const done = () => {
    clearTimeout(settling);
    settling = 0;
    changed(boxes.map(({ edges, class: label }) => ({ edges, class: label })));
  };

  function put(index, edges) {
    boxes[index] = { ...boxes[index], edges, score: null };
    paint();
  }

  const point = (event) => {
    const place = svg.getBoundingClientRect();
    return [(event.clientX - place.left) * unit(), (event.clientY - place.top) * unit()];
  };

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || drag) return;
    flush();
    const handle = event.target.dataset.handle, group = event.target.closest("g");
    const from = point(event), index = group && !event.shiftKey ? Number(group.dataset.index) : -1;
    if (handle && !event.shiftKey) drag = { kind: "resize", from, handle, index: selected };
    else if (index >= 0) drag = { kind: "move", from, index };
    else drag = { kind: "draw", from };
    if (drag.kind !== "draw") {
      drag.before = boxes[drag.index];
      select(drag.index);
    }
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });

  svg.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const to = point(event), dx = to[0] - drag.from[0], dy = to[1] - drag.from[1];
    if (!drag.begun && Math.hypot(dx, dy) < CLICK * unit()) return; // a click, not a change
    drag.begun = true;
    if (drag.kind === "draw") {
      drag.edges = between(drag.from, to, size);
      paint();
    } else if (drag.kind === "move") put(drag.index, moved(drag.before.edges, dx, dy, size));
    else put(drag.index, resized(drag.before.edges, drag.handle, dx, dy, size));
  });

  function let_go(keep) {
    const ended = drag;
    drag = null;
    if (!ended) return;
    if (!keep && ended.before) boxes[ended.index] = ended.before;
    const whole = ended.edges && ended.edges[2] - ended.edges[0] >= 1 && ended.edges[3] - ended.edges[1] >= 1;
    if (keep && ended.kind === "draw" && whole) add(ended.edges);
    else if (keep && ended.begun && ended.kind !== "draw") done();
    else if (keep && ended.kind === "draw") select(-1);
    else paint();
  }
  svg.addEventListener("pointerup", () => let_go(true));
  svg.addEventListener("pointercancel", () => let_go(false));

  function add(edges = middle(size)) {
    flush();
    boxes.push({ edges, class: boxes[selected] ? boxes[selected].class : newClass, score: null });
    select(boxes.length - 1);
    done();
  }

  function remove() {
    if (!boxes[selected]) return;
    flush();
    boxes.splice(selected, 1);
    select(boxes.length ? 0 : -1);
    done();
  }

  function nudge(event) {
    const step = event.ctrlKey ? 1 : Math.max(1, STEP * Math.max(...size));
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const { edges } = boxes[selected];
    put(selected, event.shiftKey ? resized(edges, "se", dx, dy, size) : moved(edges, dx, dy, size));
    clearTimeout(settling);
    settling = setTimeout(done, SETTLED_MS);
  }

  /** What keys have moved counts as a change now. */
  function flush() {
    if (settling) done();
  }

  new ResizeObserver(fit).observe(stage);
  return {
    flush,
    add: () => add(),
    remove,
    nudge,
    select,
    let_go: () => (drag ? let_go(false) : select(-1)),
    get selected() { return boxes[selected] || null; },
    next: () => boxes.length && select((selected + 1) % boxes.length),
    setClass(label) {
      newClass = label;
      if (!boxes[selected] || boxes[selected].class === label) return;
      flush();
      boxes[selected] = { ...boxes[selected], class: label, score: null };
      paint();
      done();
    },
    /** Shows a photograph; of the same one as before, the selected box stays selected. */
    show(item, same) {
      if (same && (drag || settling)) return; // the next change is already being made
      size = item.size;
      boxes = item.boxes.map((box) => ({ ...box }));
      newClass = item.class;
      drag = null;
      fit();
      select(same && boxes[selected] ? selected : boxes.length ? 0 : -1);
    },
  };
}
