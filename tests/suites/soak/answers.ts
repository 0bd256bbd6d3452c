/** One request of a client, and what came of it. */

/** What is asked. */
export interface Ask {
  url: string;
  /** Of the request, in the worker's log. */
  requestId: string;
  /** `null`: an open reply is to go on. */
  message: string | null;
  stateId: string | null;
  stream: boolean;
  /** Of the request, where it may be sent again. */
  key: string | null;
  /** Pieces of a stream after which the client leaves; `null`: it stays. */
  leaves: number | null;
}

export interface Whole {
  text: string;
  /** Whether the reply ended by itself: a worker that is stopped cuts it, to be carried on. */
  ended: boolean;
  /** `null`: it was not stored. */
  stateId: string | null;
  /** Whether it had been given before. */
  replayed: boolean;
  /** The id that resumed it from the start, if one did. */
  begun: string | null;
}

export type Answer =
  /** All of it came, which may be a reply that was cut short. */
  | ({ kind: "whole" } & Whole)
  /** The worker said no. */
  | { kind: "refused"; status: number; code: string; message: string; retryAfter: string | null }
  /** A stream told an error; `begun` is the id that resumes, where one was told. */
  | { kind: "failed"; begun: string | null; code: string }
  | { kind: "left"; begun: string | null }
  /** The connection broke, or there was none. */
  | { kind: "lost"; begun: string | null; reason: string };

/** Asks once. */
export async function askOnce(ask: Ask): Promise<Answer> {
  const leaving = new AbortController();
  let begun: string | null = null;
  try {
    const response = await fetch(`${ask.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "x-request-id": ask.requestId,
        ...(ask.key === null ? {} : { "idempotency-key": ask.key }),
      },
      body: JSON.stringify({
        messages: ask.message === null ? [] : [{ role: "user", content: ask.message }],
        temperature: 0,
        stream: ask.stream,
        ...(ask.stateId === null ? {} : { state_id: ask.stateId }),
      }),
      signal: leaving.signal,
    });
    begun = response.headers.get("x-state-id");
    if (response.status === 200 && ask.stream) {
      return await readStream(response, { begun, ask, leaving });
    }
    const text = await response.text();
    if (response.status !== 200) return refusal(response, text);
    const body = JSON.parse(text);
    return {
      kind: "whole",
      text: body.choices[0].message.content,
      ended: body.choices[0].finish_reason === "stop",
      stateId: body.state_id,
      replayed: response.headers.has("idempotent-replayed"),
      begun,
    };
  } catch (error) {
    return { kind: "lost", begun, reason: String(error) };
  }
}

function refusal({ status, headers }: Response, text: string): Answer {
  const { error } = JSON.parse(text);
  const retryAfter = headers.get("retry-after");
  return { kind: "refused", status, code: error.code, message: error.message, retryAfter };
}

async function readStream(
  response: Response,
  { begun, ask, leaving }: { begun: string | null; ask: Ask; leaving: AbortController },
): Promise<Answer> {
  let [text, rest, pieces] = ["", "", 0];
  let stateId: string | null = null;
  let ended = false;
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + part).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      if (event.startsWith(":")) continue;
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") {
        return { kind: "whole", text, ended, stateId, replayed: false, begun };
      }
      const chunk = JSON.parse(data);
      if (chunk.error) return { kind: "failed", begun, code: chunk.error.code };
      text += chunk.choices[0]?.delta.content ?? "";
      stateId = chunk.state_id ?? stateId;
      ended ||= chunk.choices[0]?.finish_reason === "stop";
      if (ask.leaves === null || pieces++ < ask.leaves) continue;
      leaving.abort();
      return { kind: "left", begun };
    }
  }
  return { kind: "lost", begun, reason: "the stream ended amid the reply" };
}
