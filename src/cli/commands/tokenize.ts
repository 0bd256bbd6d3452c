/** `tokenize`: converts text on stdin to token ids, or back. */

import { InferenceError } from "../../core/errors.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { openTokenizer } from "../../model_files/find_model.ts";
import { printJson, readStdin } from "../output/print.ts";
import { stringFlag, usageError } from "../../settings/flags.ts";

export const tokenize: Command = {
  name: "tokenize",
  summary: "Converts text on stdin to a JSON array of token ids, or back",
  examples: [
    "tokenize --vocab models/demo/vocab.txt --json < story.txt",
    "tokenize --vocab bytes --decode < ids.json",
  ],
  flags: {
    vocab: {
      type: "string",
      placeholder: "FILE",
      help: "vocabulary file, or bytes for one token per byte",
    },
    decode: { type: "boolean", help: "read a JSON array of ids and write their text" },
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const vocabulary = stringFlag(flags, "vocab");
    if (!vocabulary) {
      throw usageError(
        "Cannot tokenize: the vocabulary is missing; use --vocab FILE or --vocab bytes",
      );
    }
    const tokenizer = await openTokenizer(vocabulary);
    const input = await readStdin();
    if (!flags.decode) return await printJson(tokenizer.encodeBytes(input));
    const bytes = tokenizer.decode(parseIds(new TextDecoder().decode(input)));
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  },
};

function parseIds(json: string): number[] {
  const problem = "stdin must contain a JSON array of token ids, like [72, 105]";
  let ids: unknown;
  try {
    ids = JSON.parse(json);
  } catch (cause) {
    throw new InferenceError("invalid_value", `Cannot decode: ${problem}`, { cause });
  }
  if (!Array.isArray(ids)) throw new InferenceError("invalid_value", `Cannot decode: ${problem}`);
  const wrong = ids.find((id) => !Number.isInteger(id));
  if (wrong !== undefined) {
    throw new InferenceError("invalid_value", `Cannot decode ${JSON.stringify(wrong)}: ${problem}`);
  }
  return ids;
}
