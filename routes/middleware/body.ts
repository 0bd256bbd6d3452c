/** Reads request bodies within limits of size and time: UTF-8 JSON, or raw chunks. */

import { InferenceError } from "../../src/core/errors.ts";
import { checkJsonComplexity } from "../../src/core/json_complexity.ts";
import { readBlocks } from "./body_stream.ts";
import { LargeBodyQueue } from "./large_bodies.ts";
import type { MemoryLease } from "./memory_budget.ts";

/** Limits of request bodies. */
export interface BodyLimits {
  /** Queue in which large JSON bodies are processed one at a time. */
  largeBodies: LargeBodyQueue;
  /** Maximum size in bytes. */
  maxBytes: number;
  /**
   * Maximum time between two chunks. Once three times this time has passed, it also limits the average
   * time per 64 KiB.
   */
  stallTimeoutMs: number;
}

/** Options for reading one body. */
export interface BodyReadOptions extends BodyLimits {
  /** Memory lease of the request. */
  memory: MemoryLease;
}

/** Default limits. */
export const BODY_LIMITS: BodyLimits = {
  largeBodies: new LargeBodyQueue(),
  maxBytes: 8 * 1024 * 1024,
  stallTimeoutMs: 20_000,
};

/** Complexity limits of a JSON body: no prompt has more messages, or more token ids. */
export const JSON_LIMITS = { maxValues: 65_536, maxDepth: 512 } as const;

/**
 * Reads a JSON body.
 *
 * @param check Validates the parsed JSON and returns the result.
 * @throws InferenceError `payload_too_large`, `request_timeout`, `overloaded` or `invalid_value`, and
 * the errors of `check`
 */
export async function readJson<T>(
  request: Request,
  limits: BodyReadOptions,
  check: (json: unknown) => T,
): Promise<T> {
  const bytes = await readBytes(request, limits);
  return await limits.largeBodies.process(bytes.length, async (run) => {
    await run(() => {
      const excess = checkJsonComplexity(bytes, JSON_LIMITS);
      if (excess !== null) {
        throw new InferenceError("invalid_value", `The request body ${excess}; send a smaller one`);
      }
    });
    const json = await run(() => parseJson(bytes));
    return await run(() => check(json));
  });
}

function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InferenceError("invalid_value", "The request body is not UTF-8; send JSON in UTF-8", {
      cause,
    });
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
 * Yields a body in chunks of at least 64 KiB, for readers that do not need all of it in memory.
 *
 * @param remedy Advice in the error for a body that is too large.
 * @throws InferenceError `unsupported_encoding`, `payload_too_large`, `request_timeout`, `overloaded`,
 * or `cancelled` if the client disconnects
 */
export async function* readChunks(
  request: Request,
  limits: BodyReadOptions,
  remedy: string,
): AsyncGenerator<Uint8Array> {
  assertNotCompressed(request);
  const limit = limits.maxBytes;
  const tooLarge = (size: string) =>
    new InferenceError(
      "payload_too_large",
      `The request body has ${size} bytes, the limit is ${limit}; ${remedy}`,
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
    throw new InferenceError(
      "cancelled",
      "The client disconnected while sending the request body",
      { cause },
    );
  }
}

/** Rejects compressed bodies, which could decompress to a thousand times the size limit. */
function assertNotCompressed(request: Request): void {
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
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
