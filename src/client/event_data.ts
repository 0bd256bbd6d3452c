/** Server-sent events, of which a worker sends only data, a line each. */

/** The data of events as they come. Whoever stops reading closes the body. */
export async function* dataOf(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<string> {
  if (body === null) return;
  // Not all browsers iterate over streams.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
