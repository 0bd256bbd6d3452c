/** As what an engine or a converted file is to hold each matrix of a model. */

import { assertStoredAs, assignTypes, type Quant, type WeightType } from "../quant/mod.ts";
import type { Model } from "./load.ts";
import { matrixNames } from "./architectures/registry.ts";

/**
 * By name, in the order of the layer graph.
 *
 * @throws InferenceError `invalid_value` where the file holds a matrix packed as another type, or
 * the policy names none.
 */
export function weightTypes(model: Model, quant: Quant): ReadonlyMap<string, WeightType> {
  const types = assignTypes(quant, matrixNames(model.dimensions));
  for (const [name, type] of types) assertStoredAs(model.matrix(name), type);
  return types;
}
