/** Request bodies, bounded in size and time: JSON in UTF-8, or bytes as they come. */

import { InferenceError } from "../../src/core/errors.ts";
import { checkJsonComplexity } from "../../src/core/json_complexity.ts";
import { readBlocks } from "./body_stream.ts";
import { LargeBodyQueue } from "./large_bodies.ts";
import type { MemoryLease } from "./memory_budget.ts";

/** What a body may be. */
export interface BodyLimits {
  /** Where large JSON bodies wait for each other. */
  largeBodies: LargeBodyQueue;
  /** At most. */
  maxBytes: number;
  /**
   * Milliseconds between two pieces of it at most, and, once three times that is over, on average
   * for every 64 KiB.
   */
  stallTimeoutMs: number;
}

/** What one body is read within. */
export interface BodyReadOptions extends BodyLimits {
  /** What its request holds. */
  memory: MemoryLease;
}

/** Unless told otherwise. */
export const BODY_LIMITS: BodyLimits = {
  largeBodies: new LargeBodyQueue(),
  maxBytes: 8 * 1024 * 1024,
  stallTimeoutMs: 20_000,
};

/** What a JSON body may contain: no prompt has more messages, or more tokens as ids. */
export const JSON_LIMITS = { maxValues: 65_536, maxDepth: 512 } as const;

/**
 * Reads a JSON body.
 *
 * @param check Makes of the parsed JSON what is returned.
 * @throws InferenceError `payload_too_large`, `request_timeout`, `overloaded` or `invalid_value`, and
 * what `check` throws
 */
export async function readJson<T>(
  request: Request,
  limits: BodyReadOptions,
  check: (json: unknown) => T,
): Promise<T> {
  const bytes = await readBytes(request, limits);
  return await limits.largeBodies.process(bytes.length, async (step) => {
    await step(() => {
      const excess = checkJsonComplexity(bytes, JSON_LIMITS);
      if (excess !== null) throw new InferenceError("invalid_value", `The request body ${excess}`);
    });
    const json = await step(() => parseJson(bytes));
    return await step(() => check(json));
  });
}

function parseJson(bytes: Uint8Array): unknown {
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
 * A body's bytes as they come, 64 KiB or more at a time, for a reader that has no need of them all at
 * once.
 *
 * @param remedy Told to a client whose body is too large.
 * @throws InferenceError `unsupported_encoding`, `payload_too_large`, `request_timeout`, `overloaded`, or `cancelled` where
 * the client breaks off
 */
export async function* readChunks(
  request: Request,
  limits: BodyReadOptions,
  remedy: string,
): AsyncGenerator<Uint8Array> {
  assertPlain(request);
  const limit = limits.maxBytes;
  const tooLarge = (what: string) =>
    new InferenceError(
      "payload_too_large",
      `The request body has ${what} bytes, at most ${limit} are taken; ${remedy}`,
    );
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > limit) throw tooLarge(`${declared}`);
  let length = 0;
  try {
    for await (const chunk of readBlocks(request.body, limits.stallTimeoutMs)) {
      length += chunk.length;
      if (length > limit) throw tooLarge(`more than ${limit}`);
      limits.memory.reserve(chunk.length);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof InferenceError) throw cause;
    throw new InferenceError("cancelled", "The client broke off the request's body", { cause });
  }
}

/** Compressed bodies could become a thousand times as large as their bound. */
function assertPlain(request: Request): void {
  const encoding = request.headers.get("content-encoding")?.trim() ?? "";
  if (encoding === "" || /^identity$/i.test(encoding)) return;
  throw new InferenceError(
    "unsupported_encoding",
    `Cannot read a request body with content-encoding ${JSON.stringify(encoding.slice(0, 40))}: ` +
      "only identity is supported; send it uncompressed",
  );
}

async function readBytes(request: Request, limits: BodyReadOptions): Promise<Uint8Array> {
  const remedy = "send the conversation in parts, resuming with state_id";
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of readChunks(request, limits, remedy)) {
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
