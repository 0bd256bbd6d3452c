/** Holds replies to what they must be: begins constraints, and keeps what was worked out for them. */

import { InferenceError } from "../core/errors.ts";
import type { Constraint, CreateTokenConstraint, TokenTable } from "../core/sampling.ts";
import { CompiledGrammar } from "./compiled.ts";
import { parseEbnf } from "./ebnf.ts";
import { anyObject, parseSchema } from "./json/json_schema.ts";
import { parseRegex } from "./regex.ts";
import { GrammarError } from "./refusal.ts";
import { type TokenTrie, tokenTrie } from "./token_trie.ts";
import { type Grammar, oneOf } from "./tree.ts";

/** What replies end with, and how much is kept of what was worked out. */
export interface ConstrainOptions {
  /** Id with which a reply ends; `null` where only an empty line ends one. */
  endToken: number | null;
  /** Grammars that are kept, those used last; 16 unless told. */
  cachedGrammars?: number | undefined;
}

/** Field in which each kind comes. */
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
 * Nothing is made of the vocabulary before the first constraint is begun.
 *
 * A reply may begin with a space, which is not shown, and may end with an empty line as well as with
 * the end of text: models do both.
 */
export function createTokenConstraints(
  tokens: TokenTable,
  { endToken, cachedGrammars: kept = 16 }: ConstrainOptions,
): CreateTokenConstraint {
  let trie: TokenTrie | null = null;
  const known = new Map<string, CompiledGrammar>();
  // Async, so that what is thrown rejects.
  // deno-lint-ignore require-await
  return async (constraint) => {
    const name = JSON.stringify(constraint);
    const compiled = known.get(name) ??
      compile(constraint, { trie: trie ??= tokenTrie(tokens), endToken });
    known.delete(name);
    known.set(name, compiled);
    if (known.size > kept) known.delete(known.keys().next().value!);
    return compiled.begin();
  };
}

/** @throws InferenceError `invalid_value` */
function compile(
  constraint: Constraint,
  options: { trie: TokenTrie; endToken: number | null },
): CompiledGrammar {
  try {
    const { names, ...grammar } = grammarOf(constraint);
    const nameOf = (rule: number) => JSON.stringify(names[rule]);
    return new CompiledGrammar(grammar, { ...options, nameOf });
  } catch (error) {
    const param = PARAM[constraint.type];
    const cause = refusalOf(error);
    throw new InferenceError("invalid_value", `${param}: ${cause.message}`, { param, cause });
  }
}

/** What is nested so deeply that it can't be gone through is refused as well. */
function refusalOf(error: unknown): GrammarError {
  if (error instanceof GrammarError) return error;
  if (error instanceof RangeError && /call stack/.test(error.message)) {
    return new GrammarError("it is nested too deeply");
  }
  throw error;
}

function grammarOf(constraint: Constraint): Grammar & { names: readonly string[] } {
  switch (constraint.type) {
    case "json_object":
      return anyObject();
    case "json_schema":
      return parseSchema(constraint.schema);
    case "regex":
      return alone(parseRegex(bounded(constraint.pattern), { search: false, newlines: false }));
    case "choice":
      return alone(choiceOf(constraint.choices));
    case "grammar":
      return parseEbnf(bounded(constraint.ebnf));
  }
}

function alone(root: Grammar["root"]) {
  return { root, rules: [], names: [] };
}

function choiceOf(choices: readonly string[]): Grammar["root"] {
  if (choices.length === 0) throw new GrammarError("there is nothing to choose from");
  if (choices.length > MAX_CHOICES) {
    throw new GrammarError(`${choices.length} choices, at most ${MAX_CHOICES} are taken`);
  }
  bounded(choices.join(""));
  return oneOf(choices);
}

function bounded(text: string): string {
  if (text.length <= MAX_CHARS) return text;
  throw new GrammarError(`it has ${text.length} characters, at most ${MAX_CHARS} are taken`);
}
