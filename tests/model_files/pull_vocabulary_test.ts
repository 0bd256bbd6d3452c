/** Where a pulled model's vocabulary comes from. */

import assert from "node:assert/strict";
import type { ModelDetails } from "../../src/model_files/inspect_model.ts";
import { downloadVocabulary } from "../../src/model_files/download_vocabulary.ts";
import { HubClient } from "../../src/hub/hub_client.ts";
import { WORLD_VOCABULARY } from "../../src/hub/names.ts";
import { Repository } from "../../src/hub/repository.ts";
import { FakeHub } from "../hub/fake_hub.ts";

const WORLD: ModelDetails = { version: "5.2", parameters: 1, vocabularySize: 65_536, quant: null };
const OTHER: ModelDetails = { ...WORLD, vocabularySize: 2652 };

const bytes = (text: string) => new TextEncoder().encode(text);
const OWN = bytes("1 'a' 1\n");
const FAR = bytes("1 'b' 1\n");
/** As tokenizers of another library have it: a literal a line and no ids. */
const UNREADABLE = bytes("'a'\n'b'\n");

async function fetched(
  repos: Record<string, Record<string, Uint8Array<ArrayBuffer>>>,
  facts: ModelDetails | null,
): Promise<{ text: string | null; said: string[]; files: string[] }> {
  const hub = new FakeHub({ "a/b": {}, ...repos });
  const folder = await Deno.makeTempDir();
  try {
    const http = new HubClient({ endpoint: hub.endpoint });
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const got = await downloadVocabulary(http, new Repository(http, "a/b"), { folder, facts, say });
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const text = got ? await Deno.readTextFile(`${folder}/vocab.txt`) : null;
    return { text, said, files };
  } finally {
    await hub.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a repository's own vocabulary is taken, if it can be read", async () => {
  const [first, second] = WORLD_VOCABULARY;
  const far = { [first.repo]: { [first.path]: FAR } };
  const own = await fetched({ "a/b": { "rwkv_vocab_v20230424.txt": OWN }, ...far }, WORLD);
  assert.deepEqual([own.text, own.said], ["1 'a' 1\n", []]);
  const both = { "a/b": { "rwkv_vocab.txt": UNREADABLE, "vocab.txt": OWN }, ...far };
  assert.equal((await fetched(both, WORLD)).text, "1 'a' 1\n");
  const broken = await fetched({ "a/b": { "vocab.txt": UNREADABLE }, ...far }, WORLD);
  assert.equal(broken.text, "1 'b' 1\n");
  assert.deepEqual(broken.said, [`Its vocabulary is ${first.path} of ${first.repo}`]);
  // The first of those that should have it may be gone, or have another format.
  const moved = {
    [first.repo]: { [first.path]: UNREADABLE },
    [second.repo]: { [second.path]: FAR },
  };
  assert.equal((await fetched(moved, WORLD)).text, "1 'b' 1\n");
  assert.equal((await fetched({ [second.repo]: { [second.path]: FAR } }, WORLD)).text, "1 'b' 1\n");
});

Deno.test("where there is none, nothing is left and --vocab is named", async () => {
  const [{ repo, path }] = WORLD_VOCABULARY;
  for (const facts of [WORLD, OTHER, null]) {
    const repos = facts === WORLD ? {} : { [repo]: { [path]: FAR } };
    const { text, said, files } = await fetched(
      { "a/b": { "vocab.txt": UNREADABLE }, ...repos },
      facts,
    );
    assert.deepEqual([text, files, said.length], [null, [], 1]);
    assert.match(
      said[0],
      /^There is no vocabulary that can be read in a\/b.*: give one with --vocab FILE$/,
    );
  }
});
