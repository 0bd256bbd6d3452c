/** Request bodies: bounded, UTF-8, JSON. */

import { InferenceError } from "../src/core/errors.ts";

/** @throws InferenceError `payload_too_large` or `invalid_value` */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const bytes = await readBytes(request, limit);
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

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > limit) throw tooLarge(`has ${declared} bytes`, limit);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > limit) throw tooLarge(`has more than ${limit} bytes`, limit);
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

function tooLarge(what: string, limit: number): InferenceError {
  return new InferenceError(
    "payload_too_large",
    `The request body ${what}, at most ${limit} are taken; send the conversation in parts, ` +
      "resuming with state_id",
  );
}
