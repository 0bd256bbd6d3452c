// The sampling parameters of the settings dialog. This file only declares the types: the worker
// serves a module that it generates from src/core/sampling_parameters.ts under this name.

/**
 * @typedef {{
 *   name: string, label: string, hint: string, min: number, max: number | null, step: number | "any",
 *   initial: number | null, placeholder: string,
 * }} Field `initial`: the value that the page sends unless the user changes it; null sends nothing,
 *   and the worker uses the value in `placeholder`.
 */

/** @type {readonly Field[]} */
export const SAMPLING_FIELDS = [];
