/** Splits a byte stream into lines, the protocol between `bench/peers.ts` and its two processes. */

export async function* lines(bytes: ReadableStream<BufferSource>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}
