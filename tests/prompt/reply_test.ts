import assert from "node:assert/strict";
import { Reply, type ReplyOptions } from "../../src/prompt/reply.ts";
import { ids, tokenizer } from "../session/fixtures.ts";

/**
 * Adds tokens until the reply ends, then closes it with the last token pending, as a scheduler
 * does.
 */
function run(tokens: number[], options?: ReplyOptions) {
  const reply = new Reply(tokenizer, options);
  let displayed = "";
  for (const token of tokens) {
    displayed += reply.push(token);
    if (reply.ended) break;
  }
  const closing = reply.closingTokens(tokens.slice(-1));
  const pushed = [...tokens.slice(0, -1), ...closing];
  const { text, ended, hasHiddenText } = reply;
  return {
    displayed,
    text,
    ended,
    hidesText: hasHiddenText,
    pushed: tokenizer.decode(pushed),
    closing,
  };
}

Deno.test("every ended reply leaves exactly two newlines in the state", () => {
  for (
    const [tokens, stop, displayed, pushed] of [
      [ids(" hi\n\n"), [], "hi", " hi\n\n"],
      [ids(" hi", 0), [], "hi", " hi\n\n"],
      [ids(" hi\n", 0), [], "hi\n", " hi\n\n"],
      [ids(" hi", 11, 11), [], "hi", " hi\n\n"],
      [ids(" hi", 258), [], "hi", " hi\n\n"],
      [ids(" hi", 11, 258), [], "hi", " hi\n\n"],
      [ids(" hi", 259), [], "hi.", " hi.\n\n"],
      [ids(" hi stop"), ["stop"], "hi ", " hi stop\n\n"],
      [ids(" hi", 11), ["\n"], "hi", " hi\n\n"],
      [ids(" hi", 259), ["."], "hi", " hi.\n\n"],
      [ids(" hi stop"), ["top"], "hi s", " hi stop\n\n"],
      [ids(" hi\na"), ["\na"], "hi", " hi\na\n\n"],
      [[0], [], "", "\n\n"],
      [ids("\n\n"), [], "", "\n\n"],
    ] as const
  ) {
    const result = run([...tokens], { stop });
    assert.deepEqual([result.displayed, result.pushed, result.ended], [displayed, pushed, true]);
    assert.equal(result.text, displayed);
    assert.equal(result.hidesText, displayed.trimEnd() !== pushed.trim(), pushed);
    assert.ok(!result.closing.includes(0));
  }
});

Deno.test("trims only leading whitespace", () => {
  assert.equal(run(ids("  \n a  b ", 0)).displayed, "a  b ");
  assert.equal(run(ids(" b", 0), { text: "a" }).text, "a b");
  assert.equal(run(ids(" b", 0), { text: "" }).text, "b");
});

Deno.test("undisplayed bytes are displayed when the reply continues", () => {
  const first = new Reply(tokenizer);
  let displayed = "";
  for (const token of ids(" a\n")) displayed += first.push(token);
  displayed += first.flushDisplayable();
  assert.equal(displayed, "a");
  const more = new Reply(tokenizer, { text: displayed, undisplayedBytes: first.undisplayedBytes });
  assert.equal(more.push(ids("b")[0]), "\nb");
  const over = new Reply(tokenizer, { text: displayed, undisplayedBytes: first.undisplayedBytes });
  assert.equal(over.push(11), "");
  assert.ok(over.ended);
});
