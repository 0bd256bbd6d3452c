/** Sources of a pulled model's vocabulary. */

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
/** The format of another tokenizer library: one literal per line without ids. */
const UNREADABLE = bytes("'a'\n'b'\n");

async function fetched(
  repos: Record<string, Record<string, Uint8Array<ArrayBuffer>>>,
  facts: ModelDetails | null,
): Promise<{ text: string | null; messages: string[]; files: string[] }> {
  const hub = new FakeHub({ "a/b": {}, ...repos });
  const folder = await Deno.makeTempDir();
  try {
    const http = new HubClient({ endpoint: hub.endpoint });
    const messages: string[] = [];
    const onMessage = (line: string) => void messages.push(line);
    const got = await downloadVocabulary(http, new Repository(http, "a/b"), {
      folder,
      facts,
      onMessage,
    });
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const text = got ? await Deno.readTextFile(`${folder}/vocab.txt`) : null;
    return { text, messages, files };
  } finally {
    await hub.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a repository's own vocabulary is preferred if it is valid", async () => {
  const [first, second] = WORLD_VOCABULARY;
  const far = { [first.repo]: { [first.path]: FAR } };
  const own = await fetched({ "a/b": { "rwkv_vocab_v20230424.txt": OWN }, ...far }, WORLD);
  assert.deepEqual([own.text, own.messages], ["1 'a' 1\n", []]);
  const both = { "a/b": { "rwkv_vocab.txt": UNREADABLE, "vocab.txt": OWN }, ...far };
  assert.equal((await fetched(both, WORLD)).text, "1 'a' 1\n");
  const broken = await fetched({ "a/b": { "vocab.txt": UNREADABLE }, ...far }, WORLD);
  assert.equal(broken.text, "1 'b' 1\n");
  assert.deepEqual(broken.messages, [`Using the vocabulary ${first.path} of ${first.repo}`]);
  // The first source may be missing or have another format.
  const moved = {
    [first.repo]: { [first.path]: UNREADABLE },
    [second.repo]: { [second.path]: FAR },
  };
  assert.equal((await fetched(moved, WORLD)).text, "1 'b' 1\n");
  assert.equal((await fetched({ [second.repo]: { [second.path]: FAR } }, WORLD)).text, "1 'b' 1\n");
});

Deno.test("without a vocabulary no file is left, and the message names --vocab", async () => {
  const [{ repo, path }] = WORLD_VOCABULARY;
  for (const facts of [WORLD, OTHER, null]) {
    const repos = facts === WORLD ? {} : { [repo]: { [path]: FAR } };
    const { text, messages, files } = await fetched(
      { "a/b": { "vocab.txt": UNREADABLE }, ...repos },
      facts,
    );
    assert.deepEqual([text, files, messages.length], [null, [], 1]);
    assert.match(
      messages[0],
      /^There is no valid vocabulary in a\/b.*: name one with --vocab FILE$/,
    );
  }
});
