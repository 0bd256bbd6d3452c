/** Creates states with transcripts that the demo model would not write. */

import assert from "node:assert/strict";

/** Creates a conversation with this text as its first reply, and a short second turn. */
export async function stateWithReply(url: string, reply: string): Promise<string> {
  return await stateWith(url, [
    { role: "user", content: "Show me what you can." },
    { role: "assistant", content: reply },
    { role: "user", content: "Thank you!" },
  ]);
}

export async function stateWith(
  url: string,
  messages: readonly { role: string; content: string }[],
): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages, temperature: 0, max_tokens: 30 }),
  });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body.state_id;
}

/** Contains every kind of Markdown block. */
export const MARKDOWN = `## A plan for the *garden*

Here is what I would do, **in this order**, with \`compost\` and [some reading](https://example.org/a?b=1).

1. Dig over the beds
2. Sow
   - peas
   - beans, and then
     1. water them
3. Wait

| plant | weeks | yield |
|:------|------:|:-----:|
| peas  |    12 | 2 kg  |
| beans |    10 | ~~3~~ 4 kg |

> Patience is bitter, but its fruit is sweet.

\`\`\`ts
const beds = new Map<string, number>();
for (const [plant, weeks] of Object.entries({ peas: 12, beans: 10, "a very long name that does not fit": 99 })) {
  beds.set(plant, weeks);
}
\`\`\`

- [x] seeds
- [ ] rain

---

That is all.`;
