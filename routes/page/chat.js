// The chat page. The address's hash is the conversation: `#state_…` is the state to go on from.
// Text from the model or the server is only ever set as textContent.

const $ = (id) => document.getElementById(id);
const [input, log, scroller] = [$("input"), $("log"), $("scroller")];
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** Id of the state to go on from; `null` before the first reply. */
let stateId = null;
/** Aborts the reply that is being written; `null` when none is. */
let writing = null;
/** Counts conversations shown, so that a late answer for an earlier one is dropped. */
let shown = 0;

class ServerError extends Error {
  constructor({ message, code }, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** A fetch that throws a ServerError unless it succeeded. */
async function call(path, options) {
  const response = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ServerError({ message: "The worker cannot be reached.", code: "unreachable" });
  });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const fallback = { message: `The worker answered ${response.status}.`, code: null };
  throw new ServerError(body?.error ?? fallback, response.status);
}

/** The data of server-sent events, parsed, until `[DONE]`. */
async function* eventsOf(response) {
  let rest = "";
  for await (const text of piecesOf(response.body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") return;
      if (data !== "") yield JSON.parse(data);
    }
  }
  throw new ServerError({ message: "The connection broke off.", code: "unreachable" });
}

/** Streams cannot be iterated over in every browser. */
async function* piecesOf(stream) {
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
}

// What is shown

const WHO = { user: "You", assistant: "RWKV", system: "Instructions", developer: "Instructions" };

function addMessage(role, content) {
  const item = document.createElement("li");
  item.className = role === "developer" ? "system" : role;
  const who = document.createElement("span");
  who.className = role === "user" ? "who unseen" : "who";
  who.textContent = WHO[role] ?? role;
  const text = document.createElement("p");
  text.className = "text";
  text.textContent = content;
  item.append(who, text);
  log.append(item);
  $("welcome").hidden = true;
  scroller.scrollTop = scroller.scrollHeight;
  return { item, text };
}

function appendText(element, text) {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  element.append(document.createTextNode(text));
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

function showProblem(error, { action = null, label = "" } = {}) {
  $("problem-text").textContent = error.message;
  $("problem-action").textContent = label;
  $("problem-action").hidden = action === null;
  $("problem-action").onclick = () => {
    hideProblem();
    action();
  };
  $("problem").hidden = false;
}

function hideProblem() {
  $("problem").hidden = true;
}

function setWriting(controller) {
  writing = controller;
  const busy = controller !== null;
  log.setAttribute("aria-busy", String(busy));
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  if (busy) $("continue").hidden = true;
}

function setState(id, open) {
  stateId = id;
  $("continue").hidden = id === null || !open;
  const hash = id === null ? "" : `#${id}`;
  if (location.hash !== hash) history.replaceState(null, "", location.pathname + hash);
}

function showConversation(id, transcript, open) {
  shown++;
  log.replaceChildren();
  $("speed").textContent = "";
  $("welcome").hidden = transcript.length > 0;
  for (const { role, content } of transcript) {
    if (content !== "") addMessage(role, content);
  }
  setState(id, open);
}

// What happens

function newChat() {
  writing?.abort();
  setWriting(null);
  hideProblem();
  showConversation(null, [], false);
  input.focus();
}

/** Shows the conversation that leads to `id`, as the store has it. */
async function openState(id) {
  writing?.abort();
  setWriting(null);
  hideProblem();
  const turn = ++shown;
  try {
    const response = await call(`/v1/states/${encodeURIComponent(id)}`);
    const { transcript, open } = await response.json();
    if (turn !== shown) return false;
    showConversation(id, transcript, open);
    return true;
  } catch (error) {
    if (turn !== shown) return false;
    const gone = ["state_not_found", "state_expired", "state_damaged"].includes(error.code);
    showProblem(
      error,
      gone
        ? { action: newChat, label: "New chat" }
        : { action: () => openState(id), label: "Try again" },
    );
    return false;
  }
}

/** One turn: a new message, or `null` to write on a reply that was cut short. */
async function takeTurn(message) {
  hideProblem();
  const controller = new AbortController();
  setWriting(controller);
  const turn = shown;
  const before = stateId;
  const own = message === null ? null : addMessage("user", message);
  const last = log.lastElementChild;
  const goesOn = message === null && last?.classList.contains("assistant");
  const reply = goesOn
    ? { item: last, text: last.querySelector(".text") }
    : addMessage("assistant", "");
  reply.item.classList.add("writing");
  $("speed").textContent = "";
  let accepted = false;
  try {
    const response = await call("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "default",
        messages: message === null ? [] : [{ role: "user", content: message }],
        // Cautious: small models lose their thread when the unlikely is sampled too.
        top_p: 0.5,
        stream: true,
        stream_options: { include_usage: true },
        ...(before === null ? {} : { state_id: before }),
      }),
      signal: controller.signal,
    });
    accepted = true;
    const begun = response.headers.get("x-state-id");
    if (turn === shown) setState(begun ?? before, false);
    const warning = await showReply(response, reply.text);
    if (warning === null || turn !== shown) return;
    // The reply is here, and the conversation still where it was.
    setState(before, message === null);
    showProblem({ message: warning }, { action: () => submit(message), label: "Try again" });
  } catch (error) {
    if (turn !== shown) return;
    if (accepted) setState(stateId, true);
    if (error.name === "AbortError" && accepted) return;
    if (!accepted) {
      own?.item.remove();
      if (!goesOn) reply.item.remove();
      if (message !== null && input.value === "") input.value = message;
      setState(before, message === null);
    }
    if (error.name === "AbortError") return;
    const gone = ["state_not_found", "state_expired", "state_damaged", "model_mismatch"];
    if (gone.includes(error.code)) showProblem(error, { action: newChat, label: "New chat" });
    else if (accepted) showProblem(error, { action: writeOn, label: "Continue" });
    else showProblem(error, { action: () => submit(message), label: "Try again" });
  } finally {
    reply.item.classList.remove("writing");
    if (writing === controller) setWriting(null);
  }
}

/** Shows a streamed reply as it comes, and how fast it came; returns why it is not stored, or null. */
async function showReply(response, element) {
  const turn = shown;
  let warning = null;
  let first = 0;
  let chunks = 0;
  for await (const event of eventsOf(response)) {
    if (turn !== shown) return null;
    if (event.error) throw new ServerError(event.error);
    const choice = event.choices[0];
    const text = choice?.delta.content;
    if (text) {
      first ||= performance.now();
      chunks++;
      appendText(element, text);
      showSpeed(chunks, first);
    }
    if (choice?.finish_reason) {
      warning = event.warning ?? null;
      if (event.state_id !== null) setState(event.state_id, choice.finish_reason === "length");
    }
    if (event.usage) showSpeed(event.usage.completion_tokens, first, event.usage);
  }
  return warning;
}

function showSpeed(tokens, since, usage) {
  const seconds = (performance.now() - since) / 1000;
  if (tokens < 2 || seconds <= 0) return;
  const speed = `${numbers.format((tokens - 1) / seconds)} tokens/s`;
  const cached = usage?.prompt_tokens_details.cached_tokens;
  $("speed").textContent = usage
    ? `${tokens} tokens, ${speed}` + (cached ? `, ${numbers.format(cached)} not read again` : "")
    : speed;
}

/** Goes on from what is stored, which may be more or less than what was seen of it. */
async function writeOn() {
  const id = stateId;
  if (writing || id === null || !await openState(id) || $("continue").hidden) return;
  await takeTurn(null);
}

function submit(message) {
  if (writing) return;
  if (message === null) return void writeOn();
  const text = message.trim();
  if (text === "") return;
  if (input.value.trim() === text) input.value = "";
  takeTurn(text);
}

/** Shows what runs where; asks again until the worker is ready. */
async function showWorker() {
  const line = $("worker");
  let delay = 30_000;
  try {
    const response = await fetch("/health");
    const { status, model, device, adapter, quant, warning } = await response.json();
    const place = device && (adapter ? `${device} (${adapter})` : device);
    const where = [model, place, quant !== "none" && quant, warning && "no GPU, so slow"];
    const parts = { starting: ["The model is loading…"], failed: ["The worker has failed."] };
    line.textContent = (parts[status] ?? where).filter(Boolean).join(" · ");
    line.title = warning ?? "";
    line.classList.toggle("failed", status === "failed");
    if (status === "starting") delay = 1500;
  } catch {
    line.textContent = "The worker cannot be reached.";
    line.classList.add("failed");
    delay = 5000;
  }
  setTimeout(showWorker, delay);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(input.value);
});
$("stop").addEventListener("click", () => writing?.abort());
$("new-chat").addEventListener("click", newChat);
$("continue").addEventListener("click", writeOn);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit(input.value);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") writing?.abort();
});
addEventListener("hashchange", () => {
  const id = location.hash.slice(1);
  if (id === (stateId ?? "")) return;
  if (id === "") newChat();
  else openState(id);
});

showWorker();
if (location.hash.length > 1) openState(location.hash.slice(1));
