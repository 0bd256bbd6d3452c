/** From zod's issues to one message that names the field: `messages[0].content: expected …`. */

import type { z } from "zod";
import { InferenceError } from "../../src/core/errors.ts";

/** Wrong fields that a message names; of many that are wrong, few tell why. */
const MOST_NAMED = 8;

/** @throws InferenceError `invalid_value` */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidValue(result.error.issues);
}

/** What is wrong, the first field as `param`. */
export function invalidValue(issues: readonly Issue[]): InferenceError {
  const found = issues.slice(0, MOST_NAMED).map((issue) => deepest(issue, []));
  const named = found.map(({ path, message }) => `${fieldName(path)}: ${message}`);
  if (issues.length > MOST_NAMED) named.push(`and ${issues.length - MOST_NAMED} more`);
  const [{ path }] = found;
  return new InferenceError("invalid_value", named.join("; "), {
    param: path.length === 0 ? undefined : fieldName(path),
  });
}

interface Found {
  path: readonly PropertyKey[];
  message: string;
}

type Issue = z.core.$ZodIssue;

/** Of a union, the alternative that got furthest into the value. */
function deepest(issue: Issue, prefix: readonly PropertyKey[]): Found {
  const path = [...prefix, ...issue.path];
  const own = { path, message: issue.message };
  if (issue.code !== "invalid_union") return own;
  return issue.errors.flatMap((errors) => errors.slice(0, MOST_NAMED))
    .map((inner) => deepest(inner, path))
    .reduce((best, found) => found.path.length > best.path.length ? found : best, own);
}

function fieldName(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "request body";
  return path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`
  ).join("");
}
