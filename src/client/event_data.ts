/** Server-sent events, of which a worker sends only data, a line each. */

import { ApiError } from "./api_error.ts";

/** Characters of a line at most: far more than a chunk with all that can be asked for has. */
const MOST_CHARS = 4 * 1024 * 1024;

/**
 * The data of events as they come. Whoever stops reading closes the body.
 *
 * @throws ApiError for a line that has no end
 */
export async function* readEventData(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<string> {
  if (body === null) return;
  // Not all browsers iterate over streams.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  /** Of the line that has not ended, looked through for its end already. */
  let begun: string[] = [];
  let length = 0;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = decoder.decode(value, { stream: true }).split("\n");
      const rest = lines.pop()!;
      if (lines.length > 0) {
        lines[0] = begun.join("") + lines[0];
        begun = [];
        length = 0;
      }
      begun.push(rest);
      length += rest.length;
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length);
      if (length > MOST_CHARS) {
        throw new ApiError(
          `The worker sent more than ${MOST_CHARS} characters without a line's end`,
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
