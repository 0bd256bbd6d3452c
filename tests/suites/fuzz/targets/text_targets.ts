/**
 * Fuzzing targets for small files beside models and in caches: vocabularies, configurations,
 * records and tuning results.
 */

import assert from "node:assert/strict";
import { parseRecord } from "../../../../src/model_files/model_cache.ts";
import { parseTuning } from "../../../../src/server/tuning_cache.ts";
import { isSafeName } from "../../../../src/hub/names.ts";
import { configGroupNormEps } from "../../../../src/model/load.ts";
import { tokenTable } from "../../../../src/tokenizer/token_table.ts";
import { Tokenizer } from "../../../../src/tokenizer/tokenizer.ts";
import { parseShardIndex } from "../../../../src/formats/shards.ts";
import { parseVocabulary } from "../../../../src/tokenizer/vocabulary.ts";
import type { Target } from "../target.ts";

const KIB = 1024;

export function textTargets(): Target[] {
  return [vocabularyTarget(), configTarget(), shardsTarget(), recordTarget(), tuningTarget()];
}

function encoded(...texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => new TextEncoder().encode(text));
}

function decoded(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function vocabularyTarget(): Target {
  const bytes = Array.from({ length: 256 }, (_, byte) => {
    const hex = byte.toString(16).padStart(2, "0");
    return `${byte + 1} b'\\x${hex}' 1\n`;
  });
  const words = `257 'Hello' 5\n258 " it's" 5\n259 'größe' 7\n260 '\\n\\n' 2\n300 '🎈' 4\n`;
  return {
    name: "vocabulary",
    corpus: encoded(
      words,
      bytes.slice(90, 110).join("") + words,
      "1 'a' 1\r\n2 '\\u00e9' 2\r\n",
      "b'<s>'\n'a'\nb'\\xff'\n",
      '{"1": "a", "2": [255], "3": "\\u00e9"}',
    ),
    words: [
      ...["1048575", "1048576", "0", "b'", "\\x", "\\xff", "\\u", "\\ud800", "\\U0010ffff"],
      ...[
        "\\U00110000",
        "'\n",
        '"',
        "b'\\xff' 1\n",
        "7 'x' 1\n",
        "'" + "y".repeat(4097) + "' 4097",
      ],
    ],
    most: 64 * KIB,
    // Token ids are below 2^20, which limits the size of the table.
    allocates: (size) => 64 * size + 24 * KIB * KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      const vocabulary = parseVocabulary(decoded(bytes), "fuzzed");
      const tokenizer = new Tokenizer(vocabulary);
      const longest = [...vocabulary.tokens.values()];
      for (const token of longest.slice(0, 50)) {
        assert.deepEqual(tokenizer.decode(tokenizer.encodeBytes(token)), Uint8Array.from(token));
      }
      const small = tokenizer.size < 10_000;
      if (small) assert.equal(tokenTable(tokenizer).banned.length, tokenizer.size);
      return "accepted";
    },
  };
}

function shardsTarget(): Target {
  return {
    name: "shards",
    corpus: encoded(
      '{"metadata": {"total_size": 8}, "weight_map": {"emb.weight": "model-00001-of-00002.st"}}',
      '{"weight_map": {"a": "a.bin", "b": "b.bin", "__proto__": "a.bin"}}',
    ),
    words: ["weight_map", "null", "[]", "{}", "__proto__", "../", "/", "\\u0000", "."],
    most: 64 * KIB,
    allocates: (size) => 64 * size + KIB * KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      const { files, fileOf } = parseShardIndex(decoded(bytes), "fuzzed");
      assert.ok(files.length > 0 && files.length <= fileOf.size);
      for (const file of files) assert.doesNotMatch(file, /[/\\\0]|^\.+$/);
      return "accepted";
    },
  };
}

function configTarget(): Target {
  return {
    name: "config",
    corpus: encoded(
      '{"model_type": "rwkv5", "head_size_divisor": 8, "hidden_size": 768}',
      '{"head_size_divisor": 1.5e0, "nested": {"a": [1, 2, null]}}',
      "{}",
    ),
    words: ["head_size_divisor", "null", "1e-400", "1e400", "[]", "{}", "__proto__"],
    most: 64 * KIB,
    allocates: (size) => size + KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      const eps = configGroupNormEps(decoded(bytes), "config.json");
      assert.ok(eps === undefined || (eps >= 0 && eps < 1e8), `${eps}`);
      return "accepted";
    },
  };
}

function recordTarget(): Target {
  const record = {
    repo: "a/b",
    path: "c/d.pth",
    etag: "abc",
    file: "d.pth",
    names: ["0.4b"],
    bytes: 123,
    pulled: "2026-01-02T03:04:05.678Z",
    version: "5.2",
    parameters: 45,
    quant: null,
    vocabulary: true,
  };
  return {
    name: "pulled",
    corpus: encoded(JSON.stringify(record, null, 2), JSON.stringify({ ...record, names: [] })),
    words: [
      "..",
      "../x",
      "/etc/passwd",
      "a\\\\b",
      "nul",
      "\\u0000",
      "null",
      "file",
      "names",
      "bytes",
    ],
    most: 64 * KIB,
    allocates: (size) => size + KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      let found;
      try {
        found = parseRecord(decoded(bytes));
      } catch {
        return "rejected"; // any error makes the record count as missing
      }
      assert.ok(isSafeName(found.file), found.file);
      assert.ok(Number.isFinite(Date.parse(found.pulled)), found.pulled);
      return "accepted";
    },
  };
}

function tuningTarget(): Target {
  const tile = { rowBlocks: 1, tokens: 4, lanes: 8, threadBlocks: 1 };
  const tuning = {
    version: 1,
    adapter: "llvmpipe",
    choices: [{ tokens: 1, tile }, { tokens: 9007199254740991, tile: null }],
    stepTokens: 64,
  };
  return {
    name: "tuning",
    corpus: encoded(JSON.stringify(tuning), JSON.stringify(tuning, null, 2)),
    words: ["choices", "tile", "null", "lanes", "threadBlocks", "stepTokens", "adapter"],
    most: 64 * KIB,
    allocates: (size) => size + KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      const found = parseTuning(decoded(bytes));
      if (found === null) return "rejected";
      assert.ok(found.stepTokens >= 1 && found.choices.length >= 1);
      for (const { tile } of found.choices) {
        if (tile === null) continue;
        // A workgroup has at most 256 threads, in blocks of eight.
        assert.ok(8 * tile.lanes * tile.threadBlocks <= 256, JSON.stringify(tile));
        assert.ok(tile.rowBlocks <= 64 && tile.tokens <= 64, JSON.stringify(tile));
      }
      return "accepted";
    },
  };
}
