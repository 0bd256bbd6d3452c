/** What is worth knowing of a pulled model, read from the file itself. */

import { InferenceError } from "../core/errors.ts";
import { filesAt } from "./model_folder.ts";
import { unreadNotice } from "./model_report.ts";
import { openSource } from "./open_model_file.ts";

export interface ModelFacts {
  /** Of RWKV. */
  version: string;
  parameters: number;
  /** Rows of the embedding. */
  vocabulary: number;
  /** How a converted file holds its matrices. */
  quant: string | null;
}

/** The facts, or null, with a line that says why, where this worker cannot run it. */
export async function examine(
  folder: string,
  say: (line: string) => void,
): Promise<ModelFacts | null> {
  try {
    const { source } = await filesAt(folder);
    const { model } = await openSource(source, undefined);
    const { dimensions, checkpoint, converted } = model;
    const sizes = [...checkpoint.tensors.values()].map(({ shape }) =>
      shape.reduce((product, n) => product * n, 1)
    );
    const ignored = unreadNotice(model);
    if (ignored !== null) say(ignored);
    await model.close();
    return {
      version: dimensions.version,
      parameters: sizes.reduce((sum, n) => sum + n, 0),
      vocabulary: dimensions.vocabulary,
      quant: converted?.quant ?? null,
    };
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    say(`This worker cannot run it: ${error.message}`);
    return null;
  }
}
