// The worker's status: the line under the title, and the model's description on the welcome screen.

import { button, byId, element } from "./elements.js";
import { apiFetch, workerEvents } from "./worker_api.js";

/** The id of the built-in model. */
const DEMO_MODEL = "demo";

/** Polling intervals in milliseconds. */
const NOT_READY_INTERVAL = 1_000;
const READY_INTERVAL = 30_000;

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
 * Shows the worker's status, and polls it.
 * @param {(prompt: string) => void} tryExample
 */
export function watchWorker(tryExample) {
  let ready = false;
  const poll = async () => {
    clearTimeout(timer);
    ready = await showWorker(tryExample);
    clearTimeout(timer);
    timer = setTimeout(poll, ready ? READY_INTERVAL : NOT_READY_INTERVAL);
  };
  // A failed request elsewhere on the page triggers an immediate poll. While the worker is not ready,
  // the short interval is enough.
  workerEvents.addEventListener("unavailable", () => {
    if (ready) void poll();
  });
  void poll();
}

/** @param {(prompt: string) => void} tryExample */
async function showWorker(tryExample) {
  try {
    // A failed worker returns 503 with the same fields.
    const response = await apiFetch("/health").catch(() => fetch("/health"));
    if (response.status === 401) {
      show(["API key required"], false);
      return false;
    }
    const health = await response.json();
    if (typeof health.status !== "string") throw new Error("The response has no status");
    show(describe(health), health.status === "failed" || health.status === "rebuilding");
    if (health.status === "starting") {
      shownModel = "";
      aboutDevice.textContent = "";
      about.textContent =
        "The model is loading. Messages that you send now are answered when it is ready.";
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
  const engine = device === "cpu"
    ? "CPU engine"
    : software
    ? `software adapter (${adapter})`
    : adapter;
  return [model, quant, engine].filter((part) => part);
}

/**
 * @param {Record<string, any>} health
 * @param {(prompt: string) => void} tryExample
 */
function showModel({ model, device_reason: reason }, tryExample) {
  const shown = `${model} ${reason}`;
  if (shownModel === shown) return;
  shownModel = shown;
  const demo = model === DEMO_MODEL;
  about.textContent = demo
    ? "This is a demo model, about a thousand times smaller than usual chat models. It can greet " +
      "you, remember what you tell it, tell a short story and do simple sums, and nothing else."
    : `You are chatting with ${model}.`;
  aboutDevice.textContent = reason === null ? "" : `${reason}.`;
  byId("examples", HTMLUListElement).replaceChildren(
    ...EXAMPLES[demo ? "demo" : "other"].map((prompt) =>
      element("li", {}, button(prompt, () => tryExample(prompt), { kind: "example" }))
    ),
  );
}
