/** Listings of a hub are validated and limited. */

import assert from "node:assert/strict";
import { HubClient } from "../../src/hub/hub_client.ts";
import { Repository } from "../../src/hub/repository.ts";

/** Lists the files of a server that generates its pages by number. */
async function listFiles(page: (number: number) => { entries: unknown[]; more: boolean }) {
  let pages = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    const { entries, more } = page(pages++);
    const next = `<${new URL(`?cursor=${pages}`, url)}>; rel="next"`;
    return Response.json(entries, { headers: more ? { link: next } : {} });
  });
  const client = new HubClient({ endpoint: `http://127.0.0.1:${server.addr.port}` });
  try {
    return { files: await new Repository(client, "a/b").files(), pages };
  } finally {
    await server.shutdown();
  }
}

const file = { type: "file", path: "model.pth", size: 5, oid: "0".repeat(40) };

Deno.test("a listing of several pages is read completely", async () => {
  const found = await listFiles((number) => ({
    entries: [{ ...file, path: `${number}.pth` }],
    more: number < 20,
  }));
  assert.deepEqual([found.files.length, found.pages], [21, 21]);
});

Deno.test("an endless listing is rejected", async () => {
  const endless = listFiles(() => ({ entries: [], more: true }));
  await assert.rejects(endless, { code: "hub_error", message: /listing has more than 200 pages/ });
  const full = Array.from({ length: 20_000 }, (_, i) => ({ ...file, path: `${i}.txt` }));
  const growing = listFiles(() => ({ entries: full, more: true }));
  await assert.rejects(growing, { code: "hub_error", message: /more than 100000 files/ });
});

Deno.test("an invalid file size is an error of the hub", async () => {
  for (const size of [-1, 0.5, 2 ** 63, "5", null]) {
    const odd = listFiles(() => ({ entries: [{ ...file, size }], more: false }));
    await assert.rejects(odd, { code: "hub_error", message: /invalid size .* for model\.pth/ });
  }
  const large = { oid: "1".repeat(64), size: -3 };
  const odd = listFiles(() => ({ entries: [{ ...file, lfs: large }], more: false }));
  await assert.rejects(odd, { code: "hub_error", message: /invalid size -3/ });
});
