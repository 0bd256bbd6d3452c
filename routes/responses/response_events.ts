/** Converts a turn to the events of a streamed response, in OpenAI's order. */

import type { TextToken, TurnEnd } from "../../src/session/session_types.ts";
import { errorBody, type Log } from "../middleware/errors.ts";
import { outputMessage, outputText } from "./items.ts";
import { tokenLogprobs } from "../generation/logprobs_schema.ts";
import type { ResponseEvent } from "./response_event_schema.ts";
import { responseObject, type ResponseStart, responseStatus } from "./response_object.ts";
import type { Turn } from "../../src/session/session_api.ts";

type Unnumbered<T> = T extends unknown ? Omit<T, "sequence_number"> : never;
type NewEvent = Unnumbered<ResponseEvent>;

/** Yields the events of a turn with consecutive sequence numbers. */
export async function* responseEvents(
  turn: Turn,
  start: ResponseStart,
  log: Log,
): AsyncGenerator<ResponseEvent> {
  let sequence_number = 0;
  for await (const event of eventsOf(turn, start, log)) {
    yield { ...event, sequence_number: sequence_number++ };
  }
}

async function* eventsOf(turn: Turn, start: ResponseStart, log: Log): AsyncGenerator<NewEvent> {
  const id = start.note.message;
  const at = { item_id: id, output_index: 0, content_index: 0 } as const;
  const inProgress = responseObject(start, null);
  yield { type: "response.created", response: inProgress };
  yield { type: "response.in_progress", response: inProgress };
  const item = outputMessage(id, { text: "" }, "in_progress");
  yield { type: "response.output_item.added", output_index: 0, item };
  yield { type: "response.content_part.added", ...at, part: outputText("") };
  let text = "";
  const tokens: TextToken[] = [];
  let end: TurnEnd | undefined;
  try {
    for await (const event of turn.events()) {
      if (event.type === "end") {
        end = event;
        continue;
      }
      const logprobs = tokenLogprobs(event.tokens ?? []);
      text += event.text;
      tokens.push(...event.tokens ?? []);
      yield { type: "response.output_text.delta", ...at, delta: event.text, logprobs };
    }
  } catch (error) {
    log(`The stream of ${inProgress.id} failed`, error);
    const { code, message, param } = errorBody(error).error;
    // After the end event the reply is complete, and only the update of the conversation failed.
    if (end !== undefined) return yield { type: "error", code, message, param };
    const failed = { code: "server_error", message } as const;
    yield { type: "response.failed", response: { ...inProgress, status: "failed", error: failed } };
    return;
  }
  const result = { ...end!, text, tokens };
  const status = responseStatus(result);
  yield { type: "response.output_text.done", ...at, text, logprobs: tokenLogprobs(tokens) };
  yield { type: "response.content_part.done", ...at, part: outputText(text, tokens) };
  const message = outputMessage(id, result, status);
  yield { type: "response.output_item.done", output_index: 0, item: message };
  yield { type: `response.${status}`, response: responseObject(start, result) };
}
