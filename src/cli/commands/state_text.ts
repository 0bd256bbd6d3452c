/** Formats states and garbage collection results as text. */

import type { StateDescription } from "../../session/session_types.ts";
import type { Garbage } from "../../store/states/gc.ts";
import type { ListedState } from "./state_list.ts";
import { formatTable } from "../output/table_text.ts";
import { formatBytes, formatDuration } from "../../core/units.ts";

/** @param now Epoch milliseconds. */
export function formatStateTable(
  states: readonly ListedState[],
  { total, now }: { total: number; now: number },
): string {
  if (total === 0) return "There are no states.\n";
  const rows = states.map(({ id, model, created, expires, open, tokens, bytes }) => [
    id,
    model,
    open ? "open" : "closed",
    tokens === null ? "?" : String(tokens),
    formatBytes(bytes),
    `${formatDuration((now - created) / 1000)} ago`,
    untilText(expires, now),
  ]);
  const head = ["ID", "MODEL", "TURN", "TOKENS", "SIZE", "CREATED", "EXPIRES"];
  const rest = total - states.length;
  return formatTable([head, ...rows]) + (rest > 0 ? `and ${rest} older; --limit shows more\n` : "");
}

/** @param now Epoch milliseconds. */
export function formatState(state: StateDescription, now: number): string {
  const facts = [
    ["id", state.id],
    ["model", `${state.model.id} (${state.model.fingerprint})`],
    ["turn", state.open ? "open: the reply continues without a message" : "closed"],
    ["tokens", `${state.tokens} processed, ${state.pendingTokens} pending`],
    ["size", formatBytes(state.bytes)],
    ["created", new Date(state.created).toISOString()],
    ["expires", `${new Date(state.expires).toISOString()}, ${untilText(state.expires, now)}`],
  ].map(([name, value]) => `${name.padEnd(9)}${value}`);
  const said = state.transcript.map(({ role, content }) => `${role}: ${content}`);
  return [...facts, "", ...said, ""].join("\n");
}

export function formatGarbage(garbage: Garbage, dryRun: boolean): string {
  const { states, refs, blobs, chunks, bytes, unreadable } = garbage;
  const verb = dryRun ? "Would remove" : "Removed";
  const left = unreadable === 0 ? "" : `Kept ${unreadable} states that this version cannot read.\n`;
  return `${verb} ${formatBytes(bytes)}: ${blobs} blobs in ${chunks} chunks, ${refs} references, ` +
    `${states} expired states.\n${left}`;
}

function untilText(time: number, now: number): string {
  return time > now ? `in ${formatDuration((time - now) / 1000)}` : "expired";
}
