/** Request bodies, bounded: JSON in UTF-8, or bytes as they come. */

import { InferenceError } from "../src/core/errors.ts";
import { assertModest } from "./json_size.ts";

/** Bytes at most, unless told otherwise. */
export const BODY_LIMIT = 8 * 1024 * 1024;

/** @throws InferenceError `payload_too_large` or `invalid_value` */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const bytes = await readBytes(request, limit);
  assertModest(bytes);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InferenceError("invalid_value", "The request body is not UTF-8", { cause });
  }
  if (text === "") {
    throw new InferenceError("invalid_value", "The request body is empty; send a JSON object");
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? `: ${cause.message}` : "";
    throw new InferenceError("invalid_value", `The request body is not JSON${reason}`, { cause });
  }
}

/**
 * A body's bytes as they come, for a reader that has no need of them all at once.
 *
 * @param options.remedy Told to a client whose body is too large.
 * @throws InferenceError `payload_too_large`, or `cancelled` where the client breaks off
 */
export async function* readChunks(
  request: Request,
  { limit, remedy }: { limit: number; remedy: string },
): AsyncGenerator<Uint8Array> {
  const tooLarge = (what: string) =>
    new InferenceError(
      "payload_too_large",
      `The request body has ${what} bytes, at most ${limit} are taken; ${remedy}`,
    );
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > limit) throw tooLarge(`${declared}`);
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > limit) throw tooLarge(`more than ${limit}`);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof InferenceError) throw cause;
    throw new InferenceError("cancelled", "The client broke off the request's body", { cause });
  }
}

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const remedy = "send the conversation in parts, resuming with state_id";
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of readChunks(request, { limit, remedy })) {
    length += chunk.length;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
