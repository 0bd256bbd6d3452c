// What the page asks of the worker: requests with the key, errors as one class, streams as events.

const KEY = "rwkv.key";

/** A request that failed. `status` is 0 where nothing answered. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, code?: string | null, retryAfter?: number | null }} [options]
   */
  constructor(message, { status = 0, code = null, retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether it may be gone in a while by itself. */
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status) ||
      (this.status === 409 && this.retryAfter !== null);
  }

  /** Whether there is no such state any more. */
  get stateGone() {
    return ["state_not_found", "state_expired", "state_damaged"].includes(this.code ?? "");
  }
}

/** Has an event `trouble` whenever the worker is not there, or not up to it. */
export const trouble = new EventTarget();

let key = storedKey(() => sessionStorage) || storedKey(() => localStorage);

/** @param {() => Storage} storage Which may be forbidden. */
function storedKey(storage) {
  try {
    return storage().getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function apiKey() {
  return key;
}

/** Whether the key is there in new tabs as well. */
export function keyIsRemembered() {
  return storedKey(() => localStorage) !== "";
}

/**
 * @param {string} given Kept until the tab is closed, or, where storage is forbidden, reloaded.
 * @param {{ remember: boolean }} options `remember`: kept in this browser instead.
 */
export function setApiKey(given, { remember }) {
  key = given.trim();
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
    if (key !== "") (remember ? localStorage : sessionStorage).setItem(KEY, key);
  } catch {
    // It is this page's then.
  }
}

/**
 * A fetch that throws an ApiError unless it succeeded.
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 */
export async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers }).catch((error) => {
    if (error.name === "AbortError") throw error;
    trouble.dispatchEvent(new Event("trouble"));
    throw new ApiError("The worker cannot be reached.", { code: "unreachable" });
  });
  if (response.status === 503) trouble.dispatchEvent(new Event("trouble"));
  if (response.ok) return response;
  const error = (await response.json().catch(() => null))?.error;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  throw new ApiError(error?.message ?? `The worker answered ${response.status}.`, {
    status: response.status,
    code: error?.code ?? null,
    retryAfter: Number.isFinite(seconds) ? seconds : null,
  });
}

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 */
export async function callJson(path, options) {
  return await (await call(path, options)).json();
}

/**
 * What is known of a state, with its whole transcript.
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ id: string, model: string, open: boolean, tokens: number, transcript: import("./turns.js").Entry[] }>}
 */
export async function getState(id, signal) {
  const path = `/v1/states/${encodeURIComponent(id)}`;
  const transcript = [];
  while (true) {
    const state = await callJson(`${path}?after=${transcript.length}`, signal ? { signal } : {});
    transcript.push(...state.transcript);
    if (!state.has_more) return { ...state, transcript };
  }
}

/**
 * Begins a streamed reply; the state's id is known from the start.
 * @param {Record<string, unknown>} body
 * @param {AbortSignal} signal
 */
export async function startReply(body, signal) {
  const response = await call("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  return { stateId: response.headers.get("x-state-id"), events: eventsOf(response) };
}

/**
 * The data of server-sent events, parsed, until `[DONE]`.
 * @param {Response} response
 */
async function* eventsOf(response) {
  let rest = "";
  for await (const text of piecesOf(response)) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") return;
      if (data === "") continue;
      const event = JSON.parse(data);
      if (event.error) throw streamError(event.error);
      yield event;
    }
  }
  throw new ApiError("The connection broke off.", { code: "unreachable" });
}

/** @param {{ message: string, code: string | null }} error One that came in mid-stream. */
function streamError({ message, code }) {
  const passes = ["device_lost", "shutting_down", "overloaded", "store_unavailable"];
  return new ApiError(message, { code, status: passes.includes(code ?? "") ? 503 : 500 });
}

/**
 * Streams cannot be iterated over in every browser.
 * @param {Response} response
 */
async function* piecesOf({ body }) {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  while (true) {
    const read = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The connection broke off.", { code: "unreachable" });
    });
    if (read.done) return;
    yield decoder.decode(read.value, { stream: true });
  }
}
