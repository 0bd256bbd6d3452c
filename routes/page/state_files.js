// Exports states of the worker's store as files, and imports such files.

import { apiFetch, apiJson } from "./worker_api.js";

/** @param {string} id */
export async function exportState(id) {
  const response = await apiFetch(`/v1/states/${encodeURIComponent(id)}/content`);
  const name = response.headers.get("content-disposition")?.match(/filename="([^"]+)"/)?.[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name ?? `${id}.rwkvstate`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * @param {File} file
 * @returns {Promise<string>} The new state's id.
 */
export async function importState(file) {
  const state = await apiJson("/v1/states", {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: file,
  });
  return state.id;
}
