/** Reads server-sent events. A worker sends only `data` fields of one line each. */

import { ApiError } from "./api_error.ts";

/** The longest accepted line in characters, far above the largest chunk of a worker. */
const MAX_LINE_CHARS = 4 * 1024 * 1024;

/**
 * Yields the data of each event. Ending the iteration cancels the body.
 *
 * @throws ApiError if a line is too long
 */
export async function* readEventData(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<string> {
  if (body === null) return;
  // Not every browser can iterate over streams.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  /** The parts of the incomplete line. They contain no line feed. */
  let partial: string[] = [];
  let length = 0;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = decoder.decode(value, { stream: true }).split("\n");
      const rest = lines.pop()!;
      if (lines.length > 0) {
        lines[0] = partial.join("") + lines[0];
        partial = [];
        length = 0;
      }
      partial.push(rest);
      length += rest.length;
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length);
      if (length > MAX_LINE_CHARS) {
        throw new ApiError(
          `Cannot read the stream: a line has more than ${MAX_LINE_CHARS} characters`,
          {
            status: 200,
            code: "unknown",
          },
        );
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
