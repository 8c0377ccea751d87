// The list of photographs, a page at a time: thumbnails with their boxes and what was said of them.
import { made } from "./stage.js";

export const STATES = {
  open: "not looked at", right: "right", corrected: "corrected", nothing: "nothing here", wrong: "wrong",
};

/**
 * @param list the element with the thumbnails
 * @param picture gives the address of a photograph's thumbnail
 * @param open called with the number of a photograph that is chosen
 */
export function createList(list, picture, open) {
  const entries = new Map(); // number -> its element
  let current = null;

  function entry(item) {
    const element = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => open(item.number));
    const shot = document.createElement("span"), image = document.createElement("img");
    shot.className = "shot";
    image.loading = "lazy";
    image.alt = "";
    image.src = picture(item.number);
    shot.append(image, made("svg", { viewBox: `0 0 ${item.size[0]} ${item.size[1]}` }));
    const said = document.createElement("span"), name = document.createElement("span");
    said.className = "said";
    name.className = "name";
    button.append(shot, said, name);
    element.append(button);
    entries.set(item.number, element);
    update(item);
    return element;
  }

  function update(item) {
    const element = entries.get(item.number);
    if (!element) return;
    element.dataset.state = item.state;
    element.querySelector("button").title = item.name;
    const svg = element.querySelector("svg");
    svg.replaceChildren(...item.boxes.map(({ edges: [x0, y0, x1, y1], score }) => made("rect", {
      x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: score === null ? "person" : "found",
    })));
    const confidence = item.boxes.length ? `${Math.round(100 * item.confidence)} %` : "no box";
    element.querySelector(".said").textContent = item.state === "open" ? confidence : STATES[item.state];
    element.querySelector(".name").textContent = item.name.split("/").pop();
  }

  return {
    update,
    has: (number) => entries.has(number),
    show(items) {
      entries.clear();
      list.replaceChildren(...items.map(entry));
      list.scrollTop = 0;
      if (current !== null) this.select(current);
    },
    select(number) {
      current = number;
      for (const [other, element] of entries) element.firstChild.setAttribute("aria-current", String(other === number));
      const element = entries.get(number);
      if (element && list.scrollHeight > list.clientHeight) element.scrollIntoView({ block: "nearest" });
    },
  };
}
