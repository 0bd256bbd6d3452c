// What runs where: the line under the title, and what a new conversation says of the model.

import { button, byId, element } from "./elements.js";
import { call, trouble } from "./worker_api.js";

/** The id of the model that is built in. */
const DEMO = "demo";

/** Milliseconds between questions, while the worker is not ready and while it is. */
const SOON = 1_000;
const LATER = 30_000;

const EXAMPLES = {
  demo: ["Hi! My name is Ada.", "Tell me a story about a fox.", "What can you do?"],
  other: ["What can you do?", "Write a haiku about rivers.", "Explain rainbows to a child."],
};

const line = byId("worker", HTMLParagraphElement);
const about = byId("about-model", HTMLParagraphElement);
const aboutDevice = byId("about-device", HTMLParagraphElement);
let shownModel = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Shows the worker's state, now and from time to time.
 * @param {(prompt: string) => void} tryExample
 */
export function watchWorker(tryExample) {
  let ready = false;
  const look = async () => {
    clearTimeout(timer);
    ready = await showWorker(tryExample);
    clearTimeout(timer);
    timer = setTimeout(look, ready ? LATER : SOON);
  };
  // Trouble that is met elsewhere is looked into at once; known trouble is looked at anyway.
  trouble.addEventListener("trouble", () => {
    if (ready) void look();
  });
  void look();
}

/** @param {(prompt: string) => void} tryExample */
async function showWorker(tryExample) {
  try {
    // A worker that has failed answers 503 with the same fields.
    const response = await call("/health").catch(() => fetch("/health"));
    if (response.status === 401) {
      show(["An API key is wanted here"], false);
      return false;
    }
    const health = await response.json();
    if (typeof health.status !== "string") throw new Error("no health");
    show(describe(health), health.status === "failed" || health.status === "rebuilding");
    if (health.status === "starting") {
      shownModel = "";
      aboutDevice.textContent = "";
      about.textContent = "The model is being loaded. A message that is sent now " +
        "is answered as soon as it is there.";
    } else if (health.model !== null) showModel(health, tryExample);
    return health.status === "ok";
  } catch {
    show(["The worker cannot be reached"], true);
    return false;
  }
}

/**
 * @param {string[]} parts
 * @param {boolean} failed
 */
function show(parts, failed) {
  const text = parts.join(" · ");
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("failed", failed);
}

/** @param {Record<string, any>} health */
function describe({ status, reason, model, device, adapter, software, quant, loaded }) {
  if (reason !== null) return [reason];
  if (status === "starting") {
    return [loaded > 0 ? `Loading the model: ${Math.floor(100 * loaded)} %` : "Starting"];
  }
  const place = device === "cpu"
    ? "CPU engine"
    : software
    ? `software adapter (${adapter})`
    : adapter;
  return [model, quant, place].filter((part) => part);
}

/**
 * @param {Record<string, any>} health
 * @param {(prompt: string) => void} tryExample
 */
function showModel({ model, device_reason: reason }, tryExample) {
  const shown = `${model} ${reason}`;
  if (shownModel === shown) return;
  shownModel = shown;
  const demo = model === DEMO;
  about.textContent = demo
    ? "This is a demo model, smaller by a thousand times than what you may know. It can greet, " +
      "remember what you tell it, tell a short story and do small sums, and nothing else."
    : `You talk to ${model}.`;
  aboutDevice.textContent = reason === null ? "" : `${reason}.`;
  byId("examples", HTMLUListElement).replaceChildren(
    ...EXAMPLES[demo ? "demo" : "other"].map((prompt) =>
      element("li", {}, button(prompt, () => tryExample(prompt), { kind: "example" }))
    ),
  );
}
