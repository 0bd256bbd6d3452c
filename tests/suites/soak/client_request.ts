/** Sends one request as a client and classifies the result. */

/** A request of a client. */
export interface ClientRequest {
  url: string;
  /** The request id in the worker's log. */
  requestId: string;
  /** `null` to continue an open reply. */
  message: string | null;
  stateId: string | null;
  stream: boolean;
  /** The idempotency key, if the request may be retried. */
  key: string | null;
  /** Number of chunks after which the client aborts; `null` to read the whole reply. */
  abortAfter: number | null;
}

export interface CompleteResult {
  text: string;
  /**
   * Whether the reply finished. A stopping worker interrupts it, so that it can be continued.
   */
  finished: boolean;
  /** `null` if it was not stored. */
  stateId: string | null;
  /** Whether it is a replay of an earlier response with the same key. */
  replayed: boolean;
  /** The state id in the response header, if any. */
  headerStateId: string | null;
}

export type RequestResult =
  /** A complete response, which may contain an interrupted reply. */
  | ({ kind: "complete" } & CompleteResult)
  /** The worker rejected the request. */
  | { kind: "rejected"; status: number; code: string; message: string; retryAfter: string | null }
  /** A stream ended with an error; `headerStateId` is the state id in the header, if any. */
  | { kind: "failed"; headerStateId: string | null; code: string }
  | { kind: "aborted"; headerStateId: string | null }
  /** The connection broke or could not be opened. */
  | { kind: "disconnected"; headerStateId: string | null; reason: string };

/** Sends a request once. */
export async function sendOnce(request: ClientRequest): Promise<RequestResult> {
  const abort = new AbortController();
  let headerStateId: string | null = null;
  try {
    const response = await fetch(`${request.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "x-request-id": request.requestId,
        ...(request.key === null ? {} : { "idempotency-key": request.key }),
      },
      body: JSON.stringify({
        messages: request.message === null ? [] : [{ role: "user", content: request.message }],
        temperature: 0,
        stream: request.stream,
        ...(request.stateId === null ? {} : { state_id: request.stateId }),
      }),
      signal: abort.signal,
    });
    headerStateId = response.headers.get("x-state-id");
    if (response.status === 200 && request.stream) {
      return await readStream(response, { headerStateId, request, abort });
    }
    const text = await response.text();
    if (response.status !== 200) return rejection(response, text);
    const body = JSON.parse(text);
    return {
      kind: "complete",
      text: body.choices[0].message.content,
      finished: body.choices[0].finish_reason === "stop",
      stateId: body.state_id,
      replayed: response.headers.has("idempotent-replayed"),
      headerStateId,
    };
  } catch (error) {
    return { kind: "disconnected", headerStateId, reason: String(error) };
  }
}

function rejection({ status, headers }: Response, text: string): RequestResult {
  const { error } = JSON.parse(text);
  const retryAfter = headers.get("retry-after");
  return { kind: "rejected", status, code: error.code, message: error.message, retryAfter };
}

async function readStream(
  response: Response,
  { headerStateId, request, abort }: {
    headerStateId: string | null;
    request: ClientRequest;
    abort: AbortController;
  },
): Promise<RequestResult> {
  let [text, partial, chunks] = ["", "", 0];
  let stateId: string | null = null;
  let finished = false;
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (partial + part).split("\n\n");
    partial = events.pop()!;
    for (const event of events) {
      if (event.startsWith(":")) continue;
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") {
        return { kind: "complete", text, finished, stateId, replayed: false, headerStateId };
      }
      const chunk = JSON.parse(data);
      if (chunk.error) return { kind: "failed", headerStateId, code: chunk.error.code };
      text += chunk.choices[0]?.delta.content ?? "";
      stateId = chunk.state_id ?? stateId;
      finished ||= chunk.choices[0]?.finish_reason === "stop";
      if (request.abortAfter === null || chunks++ < request.abortAfter) continue;
      abort.abort();
      return { kind: "aborted", headerStateId };
    }
  }
  return {
    kind: "disconnected",
    headerStateId,
    reason: "the stream ended within the reply",
  };
}
