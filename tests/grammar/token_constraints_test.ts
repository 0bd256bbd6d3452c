/** Constraints over tokens: which tokens are allowed, and how a reply may begin and end. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import type { Constraint, TokenTable } from "../../src/core/sampling.ts";
import { createTokenConstraints } from "../../src/grammar/token_constraints.ts";
import { TURN_END } from "../../src/prompt/chat_template.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { seeded } from "../support/random_data.ts";
import {
  accepts,
  allowedIds,
  byteToken,
  constrain,
  END,
  generateText,
  isAllowed,
  ofSchema,
  rejectionMessage,
  TABLE,
  TOKENS,
} from "./fixtures.ts";

const utf8 = new TextEncoder();

function textsOf(ids: readonly number[]): string[] {
  return ids.map((id) => String.fromCharCode(...TOKENS[id] ?? [])).sort();
}

/** Whether a token is allowed, decided byte by byte. */
async function slowly(of: Constraint, before: Uint8Array, token: number): Promise<boolean> {
  const constraint = await constrain(of);
  for (const byte of [...before, ...TOKENS[token]!]) {
    if (!isAllowed(await constraint.tokenBitmask(), byteToken(byte))) return false;
    constraint.accept(byteToken(byte));
  }
  return true;
}

Deno.test("a token is allowed if all of its bytes are, including partial characters", async () => {
  const cases: [Constraint, string][] = [
    [ofSchema({ type: "object", properties: { é: { type: "string" } }, required: ["é"] }), ' {"'],
    [ofSchema({ enum: ["ab", "abc🎈", "acab"] }), '"a'],
    [ofSchema({ type: "string", minLength: 1, maxLength: 2 }), '"é'],
    [{ type: "regex", pattern: "[aé🎈]{2,3}|\\n?" }, "a"],
    [{ type: "choice", choices: ["ab", "abc", "acab", "é"] }, ""],
    [{ type: "grammar", ebnf: 'root ::= "[" root? "]"' }, "[["],
  ];
  for (const [of, before] of cases) {
    const constraint = await constrain(of);
    for (const byte of utf8.encode(before)) constraint.accept(byteToken(byte));
    const allowed = await allowedIds(constraint);
    for (const [id, bytes] of TOKENS.entries()) {
      if (bytes === undefined) continue;
      const wanted = await slowly(of, utf8.encode(before), id);
      assert.equal(allowed.includes(id), wanted, `${JSON.stringify(of)}, ${before}, ${bytes}`);
    }
  }
});

Deno.test("a token with half a character must be followed by one that completes it", async () => {
  const constraint = await constrain({ type: "choice", choices: ["aé", "a🎈}"] });
  constraint.accept(TOKENS.findIndex((bytes) => bytes?.join() === "97,240,159"));
  const rest = textsOf(await allowedIds(constraint));
  assert.deepEqual(rest, ["\x8e", "\x8e\x88}"]);
});

Deno.test("a complete text can only end, with end of text or an empty line", async () => {
  const constraint = await constrain({ type: "choice", choices: ["ab"] });
  constraint.accept(TOKENS.findIndex((bytes) => bytes?.join() === "97,98"));
  assert.deepEqual(textsOf(await allowedIds(constraint)), ["", "\n", TURN_END]);
  constraint.accept(byteToken(10));
  assert.deepEqual(textsOf(await allowedIds(constraint)), ["\n"]);
  constraint.accept(byteToken(10));
  assert.deepEqual(await allowedIds(constraint), [END]);
  constraint.accept(END);
  assert.deepEqual(await allowedIds(constraint), [END]);
});

Deno.test("a reply can start with a space", async () => {
  const constraint = await constrain({ type: "choice", choices: ["{}"] });
  assert.deepEqual(textsOf(await allowedIds(constraint)), [" ", " {", "{"]);
});

Deno.test("a vocabulary without end of text ends a reply with an empty line", async () => {
  const bytes = tokenTable({ size: 256, endOfText: null, tokenBytes: (id) => Uint8Array.of(id) });
  const only = await createTokenConstraints(bytes, { endToken: null })({
    type: "choice",
    choices: ["a"],
  });
  for (const char of "a\n\n") {
    const byte = char.charCodeAt(0);
    assert.ok(isAllowed(await only.tokenBitmask(), byte), JSON.stringify(char));
    only.accept(byte);
  }
});

Deno.test("banned ids and gaps are never allowed", async () => {
  const banned = TABLE.banned.slice();
  banned[byteToken(0x61)] = 1;
  const own = createTokenConstraints({ ...TABLE, banned }, { endToken: END });
  const constraint = await own({ type: "regex", pattern: "[ab]+" });
  const allowed = await constraint.tokenBitmask();
  assert.ok(!isAllowed(allowed, byteToken(0x61)));
  assert.ok(isAllowed(allowed, byteToken(0x62)));
  for (const [id, bytes] of TOKENS.entries()) {
    if (!bytes && id !== END) assert.ok(!isAllowed(allowed, id));
  }
});

Deno.test("characters that the vocabulary lacks are excluded, and a grammar of only such characters is rejected", async () => {
  const letters = utf8.encode('ab"{}:, \n');
  const own = createTokenConstraints(
    tokenTable({
      size: letters.length + 2,
      endOfText: END,
      // The last token has a byte that is no token by itself.
      tokenBytes: (id) => id === letters.length + 1 ? utf8.encode("ac") : letters.slice(id - 1, id),
    }),
    { endToken: END },
  );
  const constraint = await own({ type: "choice", choices: ["ac", "ab", "é"] });
  constraint.accept(1);
  assert.ok(isAllowed(await constraint.tokenBitmask(), 2));
  assert.ok(
    !isAllowed(
      await (await own({ type: "choice", choices: ["ac", "ab"] })).tokenBitmask(),
      letters.length + 1,
    ),
  );
  await assert.rejects(own({ type: "choice", choices: ["é"] }), {
    code: "invalid_value",
    message: /guided_choice: .*vocabulary/,
  });
});

Deno.test("an empty line is never generated, even if the grammar allows it", async () => {
  for (
    const of of [
      { type: "regex", pattern: "[^a]{3,20}" },
      { type: "regex", pattern: "(\\s|b){3,20}" },
      { type: "regex", pattern: "(b\\n){3}" },
      { type: "grammar", ebnf: 'root ::= ([^a] | "\\n" [b-z])+' },
    ] as const
  ) {
    for (let seed = 0; seed < 20; seed++) {
      const text = await generateText(of, seeded(seed), 60);
      assert.doesNotMatch(text ?? "", /\n\n/);
    }
  }
  for (
    const of of [
      { type: "regex", pattern: "\\n+" },
      { type: "regex", pattern: "a[\\n]{0,3}" },
      { type: "regex", pattern: "(\\na?)*" },
      { type: "choice", choices: ["a\n\nb", "c"] },
      { type: "grammar", ebnf: 'root ::= line+\nline ::= [a-z]* "\\n"' },
    ] as const
  ) {
    assert.match(await rejectionMessage(of), /empty line/, JSON.stringify(of));
  }
});

Deno.test("the vocabulary is not read before the first constraint, and each constraint is compiled once", async () => {
  let read = 0;
  const watched = new Proxy(TABLE, {
    get: (table, key: keyof TokenTable) => {
      read++;
      return table[key];
    },
  });
  const own = createTokenConstraints(watched, { endToken: END, cachedGrammars: 2 });
  assert.equal(read, 0);
  const choice = (text: string): Constraint => ({ type: "choice", choices: [text] });
  const first = await (await own(choice("a"))).tokenBitmask();
  const once = read;
  assert.ok(once > 0);
  assert.equal(
    await (await own(choice("a"))).tokenBitmask(),
    first,
    "the cached mask is the same object",
  );
  await own(choice("b"));
  await own(choice("c"));
  assert.notEqual(await (await own(choice("a"))).tokenBitmask(), first);
  assert.equal(read, once);
});

Deno.test("two replies with the same grammar are independent", async () => {
  const of: Constraint = { type: "choice", choices: ["ab", "cd"] };
  const [one, other] = [await constrain(of), await constrain(of)];
  one.accept(byteToken(0x61));
  other.accept(byteToken(0x63));
  assert.ok(isAllowed(await one.tokenBitmask(), byteToken(0x62)));
  assert.ok(isAllowed(await other.tokenBitmask(), byteToken(0x64)));
  one.close();
  assert.ok(!isAllowed(await other.tokenBitmask(), byteToken(0x62)));
});

Deno.test("a long reply is unaffected by clearing the state cache", async () => {
  const of = ofSchema({ type: "array", items: { type: "string", maxLength: 100_000 } });
  const constraint = await constrain(of);
  const other = await constrain(of);
  const text = '["' + "abcdefgh".repeat(1500) + '","' + "é".repeat(300) + '"]';
  other.accept(byteToken(0x5b));
  for (const byte of utf8.encode(text)) {
    assert.ok(isAllowed(await constraint.tokenBitmask(), byteToken(byte)));
    constraint.accept(byteToken(byte));
  }
  assert.ok(isAllowed(await constraint.tokenBitmask(), END));
  assert.ok(
    isAllowed(await other.tokenBitmask(), byteToken(0x22)),
    "a reply that did not advance meanwhile",
  );
});

Deno.test("an unboundedly ambiguous grammar has bounded cost and still ends", async () => {
  const ambiguous: Constraint[] = [
    {
      type: "grammar",
      ebnf: 'root ::= "a" root t | "a" root u | "a"\nt ::= "b" | "c"\nu ::= "c" | "d"',
    },
    { type: "regex", pattern: "((a|aa|ab|b)*c?){1000}" },
    { type: "regex", pattern: "(.*a.*){200}" },
  ];
  for (const of of ambiguous) {
    const constraint = await constrain(of);
    for (let i = 0; i < 40; i++) {
      assert.ok(isAllowed(await constraint.tokenBitmask(), byteToken(0x61)));
      constraint.accept(byteToken(0x61));
    }
  }
  assert.ok(await accepts(ambiguous[0], "a".repeat(30) + "c".repeat(29)));
});

Deno.test("accepting a token that is not allowed throws", async () => {
  const constraint = await constrain({ type: "choice", choices: ["a"] });
  assert.throws(
    () => constraint.accept(byteToken(0x62)),
    (error) => !(error instanceof InferenceError),
  );
});

Deno.test("choices are accepted exactly, and their number is limited", async () => {
  const of: Constraint = { type: "choice", choices: ["yes", "no", "ja", "né", "yesterday"] };
  for (const text of of.choices) assert.ok(await accepts(of, text), text);
  for (const text of ["", "y", "yest", "n", "yesno"]) assert.ok(!await accepts(of, text), text);
  assert.match(await rejectionMessage({ type: "choice", choices: [] }), /^guided_choice: /);
  assert.match(await rejectionMessage({ type: "choice", choices: Array(1001).fill("a") }), /1000/);
  assert.match(await rejectionMessage({ type: "choice", choices: ["a".repeat(40_000)] }), /32768/);
});
