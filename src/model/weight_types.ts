/** Resolves a quantization policy to the weight type of each matrix of a model. */

import { assertStoredAs, assignTypes, type Quant, type WeightType } from "../quant/mod.ts";
import type { Model } from "./load.ts";
import { matrixNames } from "./architectures/registry.ts";

/**
 * Returns the weight types by matrix name, in the order of the layer graph.
 *
 * @throws InferenceError `invalid_value` if the file contains a matrix packed as another type, or the
 * policy matches no matrix.
 */
export function weightTypes(model: Model, quant: Quant): ReadonlyMap<string, WeightType> {
  const types = assignTypes(quant, matrixNames(model.dimensions));
  for (const [name, type] of types) assertStoredAs(model.matrix(name), type);
  return types;
}
