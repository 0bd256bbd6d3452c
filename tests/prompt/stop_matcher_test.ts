import assert from "node:assert/strict";
import { incompleteAt, StopMatcher } from "../../src/prompt/stop_matcher.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Returns everything displayed of `text` when it is pushed in pieces that end at `cuts`. */
function run(
  text: string,
  stops: string[],
  cuts: number[],
): { displayed: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  const all = bytes(text);
  let displayed = "";
  let from = 0;
  for (const to of [...cuts, all.length]) {
    displayed += matcher.push(all.subarray(from, to));
    from = to;
  }
  return {
    displayed: displayed + (matcher.stopped ? "" : matcher.flush()),
    stopped: matcher.stopped,
  };
}

Deno.test("finds a stop string across any split of the bytes", () => {
  for (
    const [text, stops, expected] of [
      ["one\n\ntwo", ["\n\n"], "one"],
      ["one\ntwo\n\n\n", ["\n\n"], "one\ntwo"],
      ["aab", ["\n\n", "ab"], "a"],
      ["abababc", ["\n\n", "ababc"], "ab"],
      ["größe€ und", ["\n\n", "€ "], "größe"],
      ["xyz", ["\n\n", "z", "yz"], "x"],
      ["🦊🦊", ["\n\n", "🦊🦊🦊"], "🦊🦊"],
      ["nothing", ["\n\n"], "nothing"],
      ["ends in \n", ["\n\n"], "ends in \n"],
      ["\n\n", ["\n\n"], ""],
    ] as const
  ) {
    const { length } = bytes(text);
    for (let i = 0; i <= length; i++) {
      for (let j = i; j <= length; j++) {
        const { displayed, stopped } = run(text, [...stops], [i, j]);
        assert.equal(displayed, expected);
        assert.equal(stopped, !["🦊🦊", "nothing", "ends in \n"].includes(text));
      }
    }
  }
});

Deno.test("does not display a possible beginning of a stop string or a partial character", () => {
  const matcher = new StopMatcher(["\n\n", "END"]);
  assert.equal(matcher.push(bytes("a E")), "a ");
  assert.equal(matcher.push(bytes("N")), "");
  assert.equal(matcher.push(bytes("!")), "EN!");
  assert.equal(matcher.push(Uint8Array.of(0xe2, 0x82)), "");
  assert.equal(matcher.push(Uint8Array.of(0xac, 0x0a)), "€");
  assert.deepEqual(matcher.undisplayedBytes, Uint8Array.of(0x0a));
  assert.equal(matcher.push(bytes("\nmore")), "");
  assert.ok(matcher.stopped);
});

Deno.test("an unfinished reply displays text withheld for optional stops and keeps the rest", () => {
  const undisplayed = (text: string) => {
    const matcher = new StopMatcher(["\n\n", "\nUser:"]);
    return [
      matcher.push(bytes(text)) + matcher.flushDisplayable(),
      new TextDecoder().decode(matcher.undisplayedBytes),
    ];
  };
  assert.deepEqual(undisplayed("a\nUs"), ["a\nUs", ""]);
  assert.deepEqual(undisplayed("a\n"), ["a", "\n"]);
  const matcher = new StopMatcher(["\n\n"]);
  assert.equal(matcher.push(Uint8Array.of(97, 0xf0, 0x9f)) + matcher.flushDisplayable(), "a");
  assert.deepEqual(matcher.undisplayedBytes, Uint8Array.of(0xf0, 0x9f));
});

Deno.test("a stop string may begin in earlier bytes, displayed or not", () => {
  const displayed = new StopMatcher(["\n\n", "stop here"], {
    displayedBytes: bytes("do not stop h"),
  });
  assert.equal(displayed.push(bytes("er")), "");
  assert.equal(displayed.push(bytes("e!")), "");
  assert.ok(displayed.stopped);
  const other = new StopMatcher(["\n\n", "stop here"], { displayedBytes: bytes("do not stop h") });
  assert.equal(other.push(bytes("er")) + other.push(bytes("o")), "ero");
  const both = new StopMatcher(["\n\n"], {
    displayedBytes: bytes("a"),
    undisplayedBytes: bytes("\n"),
  });
  assert.equal(both.push(bytes("\n")), "");
  assert.ok(both.stopped);
});

Deno.test("invalid bytes become the same replacement characters as in one piece", () => {
  const all = Uint8Array.of(0x61, 0x80, 0xe2, 0x28, 0xf0, 0x9f, 0x62, 0xc3, 0xff, 0xed, 0xa0, 0x80);
  const expected = new TextDecoder().decode(all);
  for (let split = 0; split <= all.length; split++) {
    const matcher = new StopMatcher(["\n\n"]);
    const displayed = matcher.push(all.subarray(0, split)) + matcher.push(all.subarray(split)) +
      matcher.flush();
    assert.equal(displayed, expected);
  }
});

Deno.test("a byte order mark is text", () => {
  assert.equal(run("\ufeffa", ["\n\n"], [1]).displayed, "\ufeffa");
});

Deno.test("finds an incomplete character", () => {
  assert.equal(incompleteAt(bytes("aé")), 3);
  assert.equal(incompleteAt(bytes("aé").subarray(0, 2)), 1);
  assert.equal(incompleteAt(bytes("🦊").subarray(0, 3)), 0);
  assert.equal(incompleteAt(Uint8Array.of(0x80, 0x80, 0x80, 0x80)), 4);
  assert.equal(incompleteAt(Uint8Array.of(0xc0)), 1);
  assert.equal(incompleteAt(new Uint8Array()), 0);
});
