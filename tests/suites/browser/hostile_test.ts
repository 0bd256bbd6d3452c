/** Hostile replies: scripts and markup stay text, and expensive Markdown renders in bounded time. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";
import { MARKDOWN, stateWithReply } from "./transcripts.ts";
import type { Visit } from "./visit.ts";

const fixture = BrowserFixture.forTests();

const RUN = "globalThis.ran=1";

const HOSTILE = [
  `<img src=x onerror="${RUN}">`,
  `<script>${RUN}</script>`,
  `text <b onmouseover="${RUN}">bold</b> <iframe srcdoc="<script>${RUN}</script>"></iframe>`,
  `[a link](javascript:${RUN})`,
  `[another](JaVaScRiPt:${RUN}) [third](data:text/html,<script>${RUN}</script>)`,
  `[ref]\n\n[ref]: javascript:${RUN}`,
  `<javascript:${RUN}>`,
  `![picture](https://example.org/x.png) ![bad](javascript:${RUN})`,
  `<svg><script>${RUN}</script></svg><style>*{display:none}</style>`,
  `\`\`\`html "><script>${RUN}</script>\n<script>${RUN}</script>\n\`\`\``,
  `| <img src=x onerror=${RUN}> | b |\n|---|---|\n| [x](javascript:${RUN}) | <script>${RUN}</script> |`,
  `<a href="https://example.org" onclick="${RUN}">click</a>`,
  `# <img src=x onerror=${RUN}>`,
  `- <form action="https://example.org"><input autofocus onfocus=${RUN}></form>`,
  `&lt;script&gt; "quotes" 'and' \`<code>\``,
];

/** Texts that are expensive to parse. */
const EXPENSIVE: Record<string, string> = {
  "100 KB of prose": "Some words that go on and on. ".repeat(3_500),
  "100 KB in paragraphs": "A paragraph with **bold** and `code`.\n\n".repeat(2_600),
  "a table of 5,000 rows": "|a|b|c|\n|-|-|-|\n" + "|1|**2**|three|\n".repeat(5_000),
  "stars and lines": "_a*".repeat(33_000),
  "brackets": "[".repeat(50_000) + "](".repeat(20_000),
  "quotes in quotes": `${">".repeat(20_000)} deep`,
  "lists in lists": Array.from({ length: 300 }, (_, i) => `${" ".repeat(2 * i)}- a`).join("\n"),
  "a fence that never ends": "```\n" + "x = 1\n".repeat(16_000),
  "unbroken letters": "a".repeat(100_000),
  "control characters": Array.from({ length: 160 }, (_, i) => String.fromCharCode(i)).join(""),
};

Deno.test("a hostile reply runs no script and is shown as text", async () => {
  const id = await stateWithReply(fixture.worker.url, HOSTILE.join("\n\n"));
  await using visit = await fixture.visit({ path: `/#${id}` });
  await visit.waitForTurns(2);
  await visit.page.evaluate(() => document.querySelector("main")!.scrollTo(0, 0));
  await visit.screenshot("hostile");
  await assertHarmless(visit);
  const text = await visit.reply(0);
  assert.ok(text.includes(`<script>${RUN}</script>`));
  assert.ok(text.includes(`<img src=x onerror="${RUN}">`));
});

Deno.test("a hostile user message is shown as text in the turn, the list and the title", async () => {
  await using visit = await fixture.visit();
  const message = `<img src=x onerror="${RUN}"><script>${RUN}</script>`;
  await visit.sendAndWait(message);
  await assertHarmless(visit);
  assert.deepEqual(await visit.questions(), [message]);
  await visit.page.reload();
  await visit.waitForTurns(1);
  await assertHarmless(visit);
});

Deno.test("the renderer creates no active elements for any chunking of the text", async () => {
  await using visit = await fixture.visit();
  const bad = await visit.page.evaluate(async ({ texts, module }) => {
    const { ReplyView } = await import(module);
    const bad: string[] = [];
    for (const text of texts) {
      for (const size of [1, 7, text.length]) {
        const body = document.createElement("div");
        document.body.append(body);
        const view = new ReplyView(body);
        for (let at = 0; at < text.length; at += size) {
          view.append(text.slice(at, at + size));
          view.flush();
        }
        for (const element of body.querySelectorAll("*")) {
          const tags =
            /^(script|img|iframe|object|embed|style|svg|form|input|link|base|meta|video)$/;
          if (tags.test(element.localName)) bad.push(element.outerHTML);
          for (const { name, value } of element.attributes) {
            if (name.startsWith("on") || name === "style" || name.startsWith("src")) {
              bad.push(element.outerHTML);
            }
            if (name === "href" && !/^https?:/.test(value)) bad.push(element.outerHTML);
          }
        }
        body.remove();
      }
    }
    return bad;
  }, { texts: [...HOSTILE, HOSTILE.join("\n\n")], module: "/page/reply_view.js" });
  assert.deepEqual(bad, []);
  await assertHarmless(visit);
});

Deno.test("incremental rendering gives the same result as rendering the whole text", async () => {
  await using visit = await fixture.visit();
  const texts = [
    MARKDOWN,
    ...HOSTILE,
    "a\r\nb\r\n\r\n- c\r\n- d",
    "- a\n\n- b\n\n\n\nc",
    "x\n===\ny",
  ];
  const different = await visit.page.evaluate(async ({ texts, module }) => {
    const { ReplyView } = await import(module);
    const render = (text: string, size: number) => {
      const body = document.createElement("div");
      const view = new ReplyView(body);
      for (let at = 0; at < text.length; at += size) {
        view.append(text.slice(at, at + size));
        view.flush();
      }
      return body.innerHTML;
    };
    return texts.filter((text) =>
      [1, 5, 40].some((size) => render(text, size) !== render(text, 1e9))
    );
  }, { texts, module: "/page/reply_view.js" });
  assert.deepEqual(different, []);
});

Deno.test("Markdown renders as the matching elements", async () => {
  const id = await stateWithReply(fixture.worker.url, MARKDOWN);
  await using visit = await fixture.visit({ path: `/#${id}` });
  await visit.waitForTurns(2);
  const prose = visit.page.locator(".prose").first();
  const counts: Record<string, number> = {
    "h4 em": 1,
    "p > strong": 1,
    "p > code": 1,
    'a[href="https://example.org/a?b=1"][rel~="noopener"]': 1,
    "ol > li": 4,
    "ul ol > li": 1,
    "td.right": 2,
    "th.center": 1,
    "td del": 1,
    "blockquote": 1,
    "pre > code": 1,
    "hr": 1,
  };
  for (const [selector, count] of Object.entries(counts)) {
    assert.equal(await prose.locator(selector).count(), count, selector);
  }
  assert.match(await prose.locator("pre").innerText(), /beds\.set\(plant, weeks\);/);
});

for (const [name, text] of Object.entries(EXPENSIVE)) {
  Deno.test(`${name}: streams in bounded time, without quadratic cost`, async () => {
    await using visit = await fixture.visit();
    const { elapsedMs, length, frames } = await visit.page.evaluate(async ({ text, module }) => {
      const { ReplyView } = await import(module);
      const body = document.createElement("div");
      document.querySelector("main")!.append(body);
      const view = new ReplyView(body);
      const startedAt = performance.now();
      let frames = 0;
      // The fastest possible stream: one chunk per frame.
      for (let at = 0; at < text.length; at += 2_000) {
        view.append(text.slice(at, at + 2_000));
        await new Promise((resolve) => requestAnimationFrame(resolve));
        frames++;
      }
      view.flush();
      return { elapsedMs: performance.now() - startedAt, length: body.textContent!.length, frames };
    }, { text, module: "/page/reply_view.js" });
    assert.ok(length > 0);
    assert.ok(elapsedMs < 6_000, `${frames} frames took ${Math.round(elapsedMs)} ms`);
  });
}

async function assertHarmless({ page }: Visit): Promise<void> {
  const found = await page.evaluate(() => ({
    ran: "ran" in globalThis,
    elements: document.querySelectorAll(
      ".turn :is(script, img, iframe, svg, style, object, embed, input, form)",
    ).length,
    links: [...document.querySelectorAll<HTMLAnchorElement>(".turn a")]
      .filter(({ protocol }) => !protocol.startsWith("http")).length,
  }));
  assert.deepEqual(found, { ran: false, elements: 0, links: 0 });
}
