/** Lines of a byte stream: what the two sides of `bench/peers.ts` and it talk in. */

export async function* lines(bytes: ReadableStream<BufferSource>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}
