/** Reads the details of a pulled model from its files. */

import { InferenceError } from "../core/errors.ts";
import { findModelFiles } from "./model_folder.ts";
import { unusedTensorsNotice } from "./model_report.ts";
import { openModelSource } from "./open_model_file.ts";

export interface ModelDetails {
  /** RWKV version. */
  version: string;
  parameters: number;
  /** Rows of the embedding matrix. */
  vocabularySize: number;
  /** Quantization of a converted file. */
  quant: string | null;
}

/**
 * Returns the details of a model. Returns null and reports the reason if this worker cannot run it.
 */
export async function inspectModel(
  folder: string,
  onMessage: (line: string) => void,
): Promise<ModelDetails | null> {
  try {
    const { source } = await findModelFiles(folder);
    const { model } = await openModelSource(source, undefined);
    const { dimensions, checkpoint, converted } = model;
    const sizes = [...checkpoint.tensors.values()].map(({ shape }) =>
      shape.reduce((product, n) => product * n, 1)
    );
    const notice = unusedTensorsNotice(model);
    if (notice !== null) onMessage(notice);
    await model.close();
    return {
      version: dimensions.version,
      parameters: sizes.reduce((sum, n) => sum + n, 0),
      vocabularySize: dimensions.vocabulary,
      quant: converted?.quant ?? null,
    };
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    onMessage(`This worker cannot run the model: ${error.message}`);
    return null;
  }
}
