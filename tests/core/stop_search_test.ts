import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { advanceStopSearch, createStopSearch } from "../../src/core/stop_search.ts";
import { StopMatcher } from "../../src/prompt/stop_matcher.ts";
import { seeded } from "../support/random_data.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Returns the index of the piece with which a stop string is found, or -1. */
function found(stops: readonly string[], pieces: readonly string[]): number {
  const search = createStopSearch({
    strings: stops.map(bytes),
    precedingBytes: new Uint8Array(),
    unsearchedBytes: 0,
  });
  return pieces.findIndex((piece) => advanceStopSearch(search, bytes(piece)));
}

Deno.test("a stop string is found wherever the bytes are split", () => {
  assert.equal(found(["\n\n"], ["a\n", "b", "\n", "\n"]), 3);
  assert.equal(found(["\n\n"], ["a\n\nb"]), 0);
  assert.equal(found(["ababc"], ["aba", "bab", "c"]), 2);
  assert.equal(found(["ab", "c"], ["a", "xbx", "yc"]), 2);
  assert.equal(found(["größe€"], ["grö", "ße", "€"]), 2);
  assert.equal(found([], ["anything"]), -1);
  assert.equal(found([""], ["anything"]), -1);
});

Deno.test("strings of several words are found, and adjacent strings do not match across", () => {
  const long = "0123456789".repeat(7);
  const stops = [long, "x".repeat(31), "yz", long.slice(5)];
  assert.equal(found(stops, ["x".repeat(30), "yx", "y", "z"]), 3);
  assert.equal(found(stops, [long.slice(1), "9"]), 0);
  assert.equal(found([long, "zz"], [`9${long.slice(0, 69)}`, "8", `${long}`]), 2);
  assert.equal(found([long], [...long]), 69);
  // The end of one string followed by the start of the next does not match either string.
  assert.equal(found(["ab", "cd"], ["bc", "ac", "ad"]), -1);
});

Deno.test("a stop may begin in the preceding bytes; one already searched does not count", () => {
  const start = (text: string, unsearched: number) =>
    createStopSearch({
      strings: [bytes("\n\n"), bytes("END")],
      precedingBytes: bytes(text),
      unsearchedBytes: unsearched,
    });
  assert.equal(advanceStopSearch(start("some EN", 0), bytes("D")), true);
  assert.equal(advanceStopSearch(start("some END", 0), bytes("x")), false);
  assert.equal(start("some END", 3).found, true);
  assert.equal(start("some END", 1).found, true);
  assert.equal(start("END and", 4).found, false);
  assert.equal(advanceStopSearch(start("a\n", 1), bytes("\nb")), true);
});

Deno.test("the search stops at the same token as the matcher of the reply's text", () => {
  const random = seeded(11);
  const letters = "ab\n";
  const text = (length: number) =>
    Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join("");
  for (let round = 0; round < 3000; round++) {
    const stops = Array.from({ length: 1 + round % 3 }, () => text(1 + Math.floor(random() * 5)));
    const displayedBytes = bytes(text(Math.floor(random() * 6)));
    const undisplayedBytes = bytes(text(Math.floor(random() * 4)));
    const matcher = new StopMatcher(stops, { displayedBytes, undisplayedBytes });
    const search = createStopSearch({
      strings: stops.map(bytes),
      precedingBytes: Uint8Array.of(...displayedBytes, ...undisplayedBytes),
      unsearchedBytes: undisplayedBytes.length,
    });
    for (let i = 0; i < 8 && !matcher.stopped; i++) {
      const piece = bytes(text(Math.floor(random() * 4)));
      matcher.push(piece);
      assert.equal(
        advanceStopSearch(search, piece),
        matcher.stopped,
        JSON.stringify({ stops, round }),
      );
    }
  }
});

Deno.test("stop strings above the total size limit are rejected", () => {
  assert.throws(
    () =>
      createStopSearch({
        strings: [bytes("x".repeat(2049))],
        precedingBytes: new Uint8Array(),
        unsearchedBytes: 0,
      }),
    (error) => error instanceof InferenceError && error.param === "stop" && /2049/.test(`${error}`),
  );
});
