// The page: keys and buttons, and what they ask of the server.
import { ask } from "./server.js";
import { createList, STATES } from "./list.js";
import { createStage } from "./stage.js";

const byId = (name) => document.getElementById(name);
const about = await ask("about").catch((error) => {
  tell(error.message, true);
  throw error;
});
const sitting = "?" + about.sitting; // pictures that a browser has kept of another sitting are others
let item = null, page = 0, pages = 1;

const choice = () => ({ shown: byId("shown").value, label: byId("label").value === "" ? null : Number(byId("label").value) });
const stage = createStage(byId("stage"), about.classes, (boxes) => say("corrected", boxes), () => showClass());
const list = createList(byId("thumbnails"), (number) => `/thumbnail/${number}${sitting}`, (number) => open(number));

// What the person is told.

function tell(text, bad = false) {
  byId("kept").textContent = text;
  byId("kept").classList.toggle("bad", bad);
}

/** Does something, and tells the sentence where it fails. */
async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    tell(error.message, true);
    return null;
  }
}

function showProgress({ states, undo, redo }) {
  const seen = about.photographs - states.open;
  byId("bar").max = about.photographs;
  byId("bar").value = seen;
  const parts = Object.keys(STATES).filter((state) => state !== "open" && states[state]);
  byId("progress").textContent =
    [`${seen} of ${about.photographs} looked at`, ...parts.map((state) => `${states[state]} ${STATES[state]}`)].join(" · ");
  byId("undo").disabled = !undo;
  byId("redo").disabled = !redo;
}

function showClass() {
  const box = stage.selected;
  byId("class").value = box ? box.class : item ? item.class : "";
  byId("delete").disabled = !box;
}

function showItem(same) {
  const confidence = item.boxes.some((box) => box.score !== null) ? `found with ${Math.round(100 * item.confidence)} % confidence` : "";
  const none = item.boxes.length ? "" : item.state === "open" ? "nothing was found" : "no box";
  byId("about").replaceChildren(...[item.name, `${item.size[0]} × ${item.size[1]}`, none, confidence, ...item.warnings]
    .filter(Boolean).map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  byId("work").dataset.state = item.state;
  for (const name of ["right", "wrong", "nothing"]) byId(name).setAttribute("aria-pressed", String(item.state === name));
  stage.show(item, same);
  list.update(item);
  list.select(item.number);
}

// Going from photograph to photograph.

async function showPage(where) {
  const held = await ask("page", { ...choice(), ...where });
  ({ page, pages } = held);
  list.show(held.items);
  byId("place").textContent = held.total ? `page ${page + 1} of ${pages}, ${held.total} photographs` : "no such photograph";
  byId("before").disabled = page === 0;
  byId("after").disabled = page === pages - 1;
  showProgress(held);
  return held.items;
}

async function open(number) {
  stage.flush();
  const same = item && item.number === number;
  item = await ask("entry", { number });
  if (!same) {
    byId("photograph").src = `/photograph/${number}${sitting}`;
    byId("photograph").alt = item.name;
  }
  if (!list.has(number)) await showPage({ at: number });
  showItem(same);
  if (!same) prepareNext();
}

/** The photograph that most likely comes next is fetched while this one is looked at. */
async function prepareNext() {
  const { number } = await ask("step", { ...choice(), number: item.number, by: 1, unseen: true });
  if (number !== null) new Image().src = `/photograph/${number}${sitting}`;
}

async function step(by) {
  const { number } = await ask("step", { ...choice(), number: item.number, by });
  if (number === null) tell(by > 0 ? "this is the last one of the list" : "this is the first one of the list");
  else await open(number);
}

async function nextWorst() {
  stage.flush();
  for (const number of [item.number, null]) { // behind this one, else from the top
    const found = await ask("step", { ...choice(), number, by: 1, unseen: true });
    if (found.number !== null && found.number !== item.number) return open(found.number);
  }
  tell("all photographs of this list are looked at");
}

// Changes.

function took(answer) {
  showProgress(answer);
  if (answer.number !== undefined && item && answer.number === item.number) {
    item = answer;
    showItem(true);
  } else if (answer.number !== undefined) list.update(answer);
}

async function say(mark, boxes = []) {
  const { number } = item;
  tell("keeping …");
  return attempt(async () => {
    took(await ask("change", { number, mark, boxes }));
    tell("kept");
    return true;
  });
}

async function mark(value, boxes) {
  stage.flush();
  if (await say(value, boxes)) await nextWorst();
}

async function back(how) {
  stage.flush();
  const answer = await ask(how);
  if (answer.number === undefined) tell(`nothing to ${how}`);
  else {
    tell(how === "undo" ? "taken back" : "done again");
    await open(answer.number);
  }
  showProgress(answer);
}

async function write() {
  stage.flush();
  tell("writing …");
  const { files } = await ask("write");
  tell(`written: ${files.join(", ")}`);
}

async function learn() {
  if (!about.learns) return;
  stage.flush();
  byId("learning").showModal();
  try {
    await ask("learn");
    location.reload(); // boxes, order and confidence are others
  } catch (error) {
    byId("learning").close();
    throw error;
  }
}

const act = {
  right: () => mark("right"),
  wrong: () => mark("wrong"),
  nothing: () => mark("corrected", []),
  next: nextWorst,
  add: () => stage.add(),
  delete: () => stage.remove(),
  reset: () => { stage.flush(); return say("open"); },
  undo: () => back("undo"),
  redo: () => back("redo"),
  learn,
  write,
  help: () => byId("keys").showModal(),
  before: () => showPage({ page: page - 1 }),
  after: () => showPage({ page: page + 1 }),
};
for (const [name, run] of Object.entries(act)) {
  byId(name).addEventListener("click", (event) => {
    event.currentTarget.blur(); // the next space bar is for the photograph
    attempt(run);
  });
}

const keys = {
  r: act.right, w: act.wrong, n: act.nothing, " ": act.next, j: () => step(1), k: () => step(-1),
  u: act.undo, d: act.add, b: () => stage.next(), x: act.delete, Delete: act.delete, Backspace: act.delete,
  f: act.reset, c: () => byId("class").focus(), l: act.learn, Escape: () => stage.let_go(), "?": act.help,
};
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.altKey) return;
  const command = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.target.closest("select, input") && !command) {
    if (key === "Escape") event.target.blur();
    return;
  }
  let run = null;
  if (command && key === "z") run = event.shiftKey ? act.redo : act.undo;
  else if (command && key === "y") run = act.redo;
  else if (key.startsWith("Arrow")) {
    run = stage.selected ? () => stage.nudge(event)
      : { ArrowRight: () => step(1), ArrowLeft: () => step(-1) }[key];
  } else if (!command && /^[1-9]$/.test(key) && key <= about.classes.length) run = () => stage.setClass(key - 1);
  else if (!command && !(key === " " && event.target.closest("button"))) run = keys[key];
  if (!run) return;
  event.preventDefault();
  attempt(run);
});
window.addEventListener("pagehide", () => stage.flush());

byId("class").replaceChildren(...about.classes.map((name, index) => new Option(name, index)));
byId("class").addEventListener("change", (event) => {
  stage.setClass(Number(event.target.value));
  event.target.blur();
});
byId("label").append(...about.classes.slice(0, about.found).map((name, index) => new Option(name, index)));
for (const name of ["shown", "label"]) {
  byId(name).addEventListener("change", (event) => {
    event.target.blur();
    attempt(async () => {
      const [first] = await showPage({ page: 0 });
      if (first) await open(first.number);
    });
  });
}
byId("photograph").addEventListener("error", () => tell("this photograph cannot be shown: it is gone or damaged", true));

byId("learning").addEventListener("cancel", (event) => event.preventDefault()); // it goes on all the same
byId("learn").hidden = byId("learn-key").hidden = !about.learns;
attempt(async () => {
  await open(about.first);
  if (about.learned) tell(about.learned);
});
