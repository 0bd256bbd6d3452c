/** Converts zod's issues to one message that names the fields: `messages[0].content: expected …`. */

import type { z } from "zod";
import { InferenceError } from "../../src/core/errors.ts";

/** Maximum number of invalid fields in a message. */
const MAX_NAMED_FIELDS = 8;

/**
 * Validates a value by a schema.
 *
 * @throws InferenceError `invalid_value`
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidValue(result.error.issues);
}

/** Returns an error about the invalid fields, with the first one as `param`. */
export function invalidValue(issues: readonly Issue[]): InferenceError {
  const found = issues.slice(0, MAX_NAMED_FIELDS).map((issue) => deepestIssue(issue, []));
  const named = found.map(({ path, message }) => `${fieldName(path)}: ${message}`);
  if (issues.length > MAX_NAMED_FIELDS) named.push(`and ${issues.length - MAX_NAMED_FIELDS} more`);
  const [{ path }] = found;
  return new InferenceError("invalid_value", named.join("; "), {
    param: path.length === 0 ? undefined : fieldName(path),
  });
}

interface FieldIssue {
  path: readonly PropertyKey[];
  message: string;
}

type Issue = z.core.$ZodIssue;

/** Returns the issue itself; for a union, the issue of the alternative that matched most. */
function deepestIssue(issue: Issue, prefix: readonly PropertyKey[]): FieldIssue {
  const path = [...prefix, ...issue.path];
  const own = { path, message: issue.message };
  if (issue.code !== "invalid_union") return own;
  return issue.errors.flatMap((errors) => errors.slice(0, MAX_NAMED_FIELDS))
    .map((inner) => deepestIssue(inner, path))
    .reduce((best, found) => found.path.length > best.path.length ? found : best, own);
}

function fieldName(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "request body";
  return path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`
  ).join("");
}
