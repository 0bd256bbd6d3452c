import assert from "node:assert/strict";
import { TextStream } from "../../src/tokenizer/text_stream.ts";

const whole = new TextDecoder("utf-8", { ignoreBOM: true });

Deno.test("a character is emitted once all of its bytes have arrived", () => {
  const stream = new TextStream();
  const bytes = new TextEncoder().encode("é世😀");
  const pieces = Array.from(bytes, (byte) => stream.push(Uint8Array.of(byte)));
  assert.deepEqual(pieces, ["", "é", "", "", "世", "", "", "", "😀"]);
  assert.equal(stream.flush(), "");
});

Deno.test("invalid bytes become U+FFFD immediately, and an incomplete character does on flush", () => {
  const stream = new TextStream();
  assert.equal(stream.push(Uint8Array.of(0x61, 0xff, 0x80)), "a\ufffd\ufffd");
  assert.equal(stream.push(Uint8Array.of(0xe4, 0xb8)), "");
  assert.equal(stream.push(Uint8Array.of(0x41)), "\ufffdA");
  assert.equal(stream.push(Uint8Array.of(0xf0, 0x9f, 0x98)), "");
  assert.equal(stream.flush(), "\ufffd");
  assert.equal(
    stream.push(Uint8Array.of(0x80)),
    "\ufffd",
    "no bytes remain from the previous text",
  );
});

Deno.test("a byte order mark is preserved", () => {
  const stream = new TextStream();
  assert.equal(stream.push(Uint8Array.of(0xef, 0xbb)), "");
  assert.equal(stream.push(Uint8Array.of(0xbf, 0x61)) + stream.flush(), "\ufeffa");
});

Deno.test("every split gives the result of a single decoder", () => {
  let state = 3;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const lead = [
    0x61,
    0xc3,
    0xa9,
    0xe4,
    0xb8,
    0x96,
    0xf0,
    0x9f,
    0x98,
    0x80,
    0xed,
    0xa0,
    0xff,
    0xef,
    0xbb,
  ];
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from({ length: random(24) }, () => lead[random(lead.length)]);
    const stream = new TextStream();
    let text = "";
    for (let start = 0; start < bytes.length;) {
      const end = start + random(4);
      text += stream.push(bytes.subarray(start, end));
      assert(text.isWellFormed());
      start = end;
    }
    assert.equal(text + stream.flush(), whole.decode(bytes), `${bytes}`);
  }
});
