// What the user sets: the system prompt, and how the model chooses its tokens. Kept in this browser.

import { byId, element } from "./elements.js";

const KEY = "rwkv.settings";

/**
 * @typedef {{
 *   name: string, label: string, hint: string, min: number, max: number | null, step: number | "any",
 *   initial: number | null, usual: string,
 * }} Field `initial`: what the page asks for unless told otherwise; null leaves it to the worker,
 *   which takes what is `usual`.
 */

/** @type {readonly Field[]} Named as in the API. */
const FIELDS = [
  {
    name: "temperature",
    label: "Temperature",
    hint: "0 to 2; 0 always takes the likeliest",
    min: 0,
    max: 2,
    step: "any",
    initial: 1,
    usual: "1",
  },
  {
    // Cautious: small models lose their thread when the unlikely is sampled too.
    name: "top_p",
    label: "Top p",
    hint: "0 to 1; less is safer",
    min: 0,
    max: 1,
    step: "any",
    initial: 0.5,
    usual: "1",
  },
  {
    name: "top_k",
    label: "Top k",
    hint: "0 is all",
    min: 0,
    max: null,
    step: 1,
    initial: null,
    usual: "0",
  },
  {
    name: "max_tokens",
    label: "Max tokens",
    hint: "of a reply",
    min: 1,
    max: null,
    step: 1,
    initial: null,
    usual: "512",
  },
  {
    name: "seed",
    label: "Seed",
    hint: "the same one, the same reply",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
    initial: null,
    usual: "a new one",
  },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    hint: "0.1 to 10; 1 is none",
    min: 0.1,
    max: 10,
    step: "any",
    initial: null,
    usual: "1",
  },
  {
    name: "presence_penalty",
    label: "Presence penalty",
    hint: "−2 to 2",
    min: -2,
    max: 2,
    step: "any",
    initial: null,
    usual: "0",
  },
  {
    name: "frequency_penalty",
    label: "Frequency penalty",
    hint: "−2 to 2",
    min: -2,
    max: 2,
    step: "any",
    initial: null,
    usual: "0",
  },
];

/** @returns {Record<string, unknown>} As stored: `null` is for fields left empty. */
function stored() {
  try {
    const read = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof read === "object" && read !== null ? read : {};
  } catch {
    return {};
  }
}

/**
 * @param {Record<string, unknown>} values
 */
function store(values) {
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Storage may be forbidden or full: the settings are the dialog's own then.
  }
}

/** @returns {string} */
export function systemPrompt() {
  return byId("system", HTMLTextAreaElement).value.trim();
}

/** Fields of a request: only what is set. */
export function sampling() {
  /** @type {Record<string, number>} */
  const fields = {};
  for (const { name } of FIELDS) {
    const input = byId(`setting-${name}`, HTMLInputElement);
    if (input.value !== "" && input.checkValidity()) fields[name] = input.valueAsNumber;
  }
  return fields;
}

function fill() {
  const values = stored();
  const { system } = values;
  byId("system", HTMLTextAreaElement).value = typeof system === "string" ? system : "";
  for (const { name, initial } of FIELDS) {
    const value = name in values ? values[name] : initial;
    byId(`setting-${name}`, HTMLInputElement).value = typeof value === "number" ? `${value}` : "";
  }
}

function save() {
  /** @type {Record<string, unknown>} */
  const values = { system: systemPrompt() };
  for (const { name } of FIELDS) {
    const input = byId(`setting-${name}`, HTMLInputElement);
    if (input.checkValidity()) values[name] = input.value === "" ? null : input.valueAsNumber;
  }
  store(values);
}

/** Builds the dialog, and lets its buttons work. */
export function setUpSettings() {
  const dialog = byId("settings", HTMLDialogElement);
  byId("sampling", HTMLDivElement).append(...FIELDS.map(fieldOf));
  fill();
  byId("settings-form", HTMLFormElement).addEventListener("input", save);
  byId("open-settings", HTMLButtonElement).addEventListener("click", () => dialog.showModal());
  byId("reset-settings", HTMLButtonElement).addEventListener("click", () => {
    store({});
    fill();
  });
  // A click beside the dialog closes it.
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close();
  });
}

/** @param {Field} field */
function fieldOf({ name, label, hint, min, max, step, usual }) {
  const input = element("input", {
    id: `setting-${name}`,
    name,
    type: "number",
    inputmode: "decimal",
    min: `${min}`,
    step: `${step}`,
    ...(max === null ? {} : { max: `${max}` }),
    placeholder: usual,
    "aria-describedby": `hint-${name}`,
  });
  return element(
    "div",
    { class: "setting" },
    element("label", { for: `setting-${name}` }, label),
    input,
    element("p", { id: `hint-${name}`, class: "small" }, hint),
  );
}
