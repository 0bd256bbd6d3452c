// Requests to the worker: adds the API key, converts failures to ApiError, and parses streams.

const KEY = "rwkv.key";

/** A failed request. `status` is 0 if there was no response. */
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

  /** Whether a later attempt may succeed. */
  get isTransient() {
    return [0, 429, 502, 503, 504].includes(this.status) ||
      (this.status === 409 && this.retryAfter !== null);
  }

  /** Whether the state does not exist, has expired or is damaged. */
  get isStateMissing() {
    return ["state_not_found", "state_expired", "state_damaged"].includes(this.code ?? "");
  }
}

/** Dispatches `unavailable` when the worker is unreachable or returns 503. */
export const workerEvents = new EventTarget();

let key = storedKey(() => sessionStorage) || storedKey(() => localStorage);

/** @param {() => Storage} storage A getter, because access throws where storage is forbidden. */
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

/** Returns whether the key is stored for new tabs as well. */
export function keyIsRemembered() {
  return storedKey(() => localStorage) !== "";
}

/**
 * Stores the key for this tab, or for the whole browser if `remember` is set.
 * @param {string} newKey Kept until the next reload if the browser forbids storage.
 * @param {{ remember: boolean }} options
 */
export function setApiKey(newKey, { remember }) {
  key = newKey.trim();
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
    if (key !== "") (remember ? localStorage : sessionStorage).setItem(KEY, key);
  } catch {
    // Storage is forbidden: the key is kept until the page is closed.
  }
}

/**
 * Fetches with the API key.
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 * @throws {ApiError} Unless the response has a success status.
 */
export async function apiFetch(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers }).catch((error) => {
    if (error.name === "AbortError") throw error;
    workerEvents.dispatchEvent(new Event("unavailable"));
    throw new ApiError("The worker cannot be reached.", { code: "unreachable" });
  });
  if (response.status === 503) workerEvents.dispatchEvent(new Event("unavailable"));
  if (response.ok) return response;
  const error = (await response.json().catch(() => null))?.error;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  throw new ApiError(error?.message ?? `The worker returned status ${response.status}.`, {
    status: response.status,
    code: error?.code ?? null,
    retryAfter: Number.isFinite(seconds) ? seconds : null,
  });
}

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 */
export async function apiJson(path, options) {
  return await (await apiFetch(path, options)).json();
}

/**
 * Fetches a state with its whole transcript.
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ id: string, model: string, open: boolean, tokens: number, transcript: import("./turns.js").Message[] }>}
 */
export async function getState(id, signal) {
  const path = `/v1/states/${encodeURIComponent(id)}`;
  const transcript = [];
  while (true) {
    const state = await apiJson(`${path}?after=${transcript.length}`, signal ? { signal } : {});
    transcript.push(...state.transcript);
    if (!state.has_more) return { ...state, transcript };
  }
}

/**
 * Starts a streamed reply. The response's header has the id of the new state.
 * @param {Record<string, unknown>} body
 * @param {AbortSignal} signal
 */
export async function startReply(body, signal) {
  const response = await apiFetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  return { stateId: response.headers.get("x-state-id"), events: readEvents(response) };
}

/**
 * Yields the parsed data of server-sent events until `[DONE]`.
 * @param {Response} response
 */
async function* readEvents(response) {
  let rest = "";
  for await (const text of readText(response)) {
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
  throw new ApiError("The connection was lost.", { code: "unreachable" });
}

/** @param {{ message: string, code: string | null }} error An error event of the stream. */
function streamError({ message, code }) {
  const transientCodes = ["device_lost", "shutting_down", "overloaded", "store_unavailable"];
  return new ApiError(message, { code, status: transientCodes.includes(code ?? "") ? 503 : 500 });
}

/**
 * Yields the body's text. Uses a reader because not every browser can iterate over streams.
 * @param {Response} response
 */
async function* readText({ body }) {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  while (true) {
    const read = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The connection was lost.", { code: "unreachable" });
    });
    if (read.done) return;
    yield decoder.decode(read.value, { stream: true });
  }
}
