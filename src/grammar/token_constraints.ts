/** Creates token constraints for structured output, and caches compiled grammars. */

import { InferenceError } from "../core/errors.ts";
import type { Constraint, CreateTokenConstraint, TokenTable } from "../core/sampling.ts";
import { CompiledGrammar } from "./compiled_grammar.ts";
import { parseEbnf } from "./ebnf.ts";
import { GrammarError } from "./grammar_error.ts";
import { anyObjectGrammar, parseSchema } from "./json/json_schema.ts";
import { parseRegex } from "./regex.ts";
import { type TokenTrie, tokenTrie } from "./token_trie.ts";
import { type Grammar, oneOf } from "./tree.ts";

/** How replies end, and the size of the cache. */
export interface TokenConstraintOptions {
  /** Token that ends a reply, or `null` if only an empty line does. */
  endToken: number | null;
  /** Compiled grammars in the least-recently-used cache; 16 by default. */
  cachedGrammars?: number | undefined;
}

/** Request field of each constraint type, for error messages. */
const PARAM: Record<Constraint["type"], string> = {
  json_object: "response_format",
  json_schema: "response_format",
  regex: "guided_regex",
  choice: "guided_choice",
  grammar: "guided_grammar",
};

const MAX_CHARS = 32_768;
const MAX_CHOICES = 1000;

/**
 * Returns a function that creates the token constraint of a request. The token trie is built on the
 * first call.
 *
 * Models often start a reply with a space and end it with an empty line, so every constraint allows
 * both: the space is not shown, and the empty line ends the reply like the end token.
 */
export function createTokenConstraints(
  tokens: TokenTable,
  { endToken, cachedGrammars = 16 }: TokenConstraintOptions,
): CreateTokenConstraint {
  let trie: TokenTrie | null = null;
  const cache = new Map<string, CompiledGrammar>();
  // Async, so that errors reject the promise.
  // deno-lint-ignore require-await
  return async (constraint) => {
    const key = JSON.stringify(constraint);
    const compiled = cache.get(key) ??
      compile(constraint, { trie: trie ??= tokenTrie(tokens), endToken });
    cache.delete(key);
    cache.set(key, compiled);
    if (cache.size > cachedGrammars) cache.delete(cache.keys().next().value!);
    return compiled.createConstraint();
  };
}

/** @throws InferenceError `invalid_value` */
function compile(
  constraint: Constraint,
  options: { trie: TokenTrie; endToken: number | null },
): CompiledGrammar {
  try {
    const { ruleNames, ...grammar } = parseConstraint(constraint);
    const ruleName = (rule: number) => JSON.stringify(ruleNames[rule]);
    return new CompiledGrammar(grammar, { ...options, ruleName });
  } catch (error) {
    const param = PARAM[constraint.type];
    const cause = toGrammarError(error);
    throw new InferenceError("invalid_value", `${param}: ${cause.message}`, { param, cause });
  }
}

/** Returns a GrammarError, also for a call-stack overflow of a recursive parser; rethrows others. */
function toGrammarError(error: unknown): GrammarError {
  if (error instanceof GrammarError) return error;
  if (error instanceof RangeError && /call stack/.test(error.message)) {
    return new GrammarError("it is nested too deeply");
  }
  throw error;
}

function parseConstraint(constraint: Constraint): Grammar & { ruleNames: readonly string[] } {
  switch (constraint.type) {
    case "json_object":
      return anyObjectGrammar();
    case "json_schema":
      return parseSchema(constraint.schema);
    case "regex":
      return withoutRules(
        parseRegex(checkLength(constraint.pattern), { search: false, newlines: false }),
      );
    case "choice":
      return withoutRules(choiceTree(constraint.choices));
    case "grammar":
      return parseEbnf(checkLength(constraint.ebnf));
  }
}

function withoutRules(root: Grammar["root"]) {
  return { root, rules: [], ruleNames: [] };
}

function choiceTree(choices: readonly string[]): Grammar["root"] {
  if (choices.length === 0) throw new GrammarError("the list of choices is empty");
  if (choices.length > MAX_CHOICES) {
    throw new GrammarError(`the list has ${choices.length} choices; the maximum is ${MAX_CHOICES}`);
  }
  checkLength(choices.join(""));
  return oneOf(choices);
}

function checkLength(text: string): string {
  if (text.length <= MAX_CHARS) return text;
  throw new GrammarError(`it has ${text.length} characters; the maximum is ${MAX_CHARS}`);
}
