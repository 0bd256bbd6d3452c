// The sampling parameters that the settings show. The worker serves a module with the fields of its
// table (src/core/sampling_parameters.ts) in place of this one, which gives editors the types.

/**
 * @typedef {{
 *   name: string, label: string, hint: string, min: number, max: number | null, step: number | "any",
 *   initial: number | null, placeholder: string,
 * }} Field `initial`: the value that the page sends unless the user changes it; null sends nothing,
 *   and the worker uses the value in `placeholder`.
 */

/** @type {readonly Field[]} */
export const SAMPLING_FIELDS = [];
