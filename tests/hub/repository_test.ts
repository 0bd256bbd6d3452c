/** What a hub lists is bounded, and is what it should be. */

import assert from "node:assert/strict";
import { HubClient } from "../../src/hub/hub_http.ts";
import { Repository } from "../../src/hub/repository.ts";

/** What a listing comes to whose pages are these, by their number. */
async function listed(page: (number: number) => { entries: unknown[]; more: boolean }) {
  let pages = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    const { entries, more } = page(pages++);
    const next = `<${new URL(`?cursor=${pages}`, url)}>; rel="next"`;
    return Response.json(entries, { headers: more ? { link: next } : {} });
  });
  const http = new HubClient({ endpoint: `http://127.0.0.1:${server.addr.port}` });
  try {
    return { files: await new Repository(http, "a/b").files(), pages };
  } finally {
    await server.shutdown();
  }
}

const file = { type: "file", path: "model.pth", size: 5, oid: "0".repeat(40) };

Deno.test("a listing of some pages is followed to its end", async () => {
  const found = await listed((number) => ({
    entries: [{ ...file, path: `${number}.pth` }],
    more: number < 20,
  }));
  assert.deepEqual([found.files.length, found.pages], [21, 21]);
});

Deno.test("a listing without an end is given up", async () => {
  const endless = listed(() => ({ entries: [], more: true }));
  await assert.rejects(endless, { code: "hub_error", message: /listing has no end/ });
  const full = Array.from({ length: 20_000 }, (_, i) => ({ ...file, path: `${i}.txt` }));
  const growing = listed(() => ({ entries: full, more: true }));
  await assert.rejects(growing, { code: "hub_error", message: /more than 100000 files/ });
});

Deno.test("a size that is none is an error of the hub's", async () => {
  for (const size of [-1, 0.5, 2 ** 63, "5", null]) {
    const odd = listed(() => ({ entries: [{ ...file, size }], more: false }));
    await assert.rejects(odd, { code: "hub_error", message: /model\.pth with a size of/ });
  }
  const large = { oid: "1".repeat(64), size: -3 };
  const odd = listed(() => ({ entries: [{ ...file, lfs: large }], more: false }));
  await assert.rejects(odd, { code: "hub_error", message: /with a size of -3/ });
});
