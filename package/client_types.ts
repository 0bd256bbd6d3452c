/**
 * Writes `src/client/api_types.ts`: the API's objects as plain TypeScript, out of the document that
 * the routes' schemas make. So the client needs neither zod nor the worker's code for its types, and
 * editors show what `/docs` shows. Run by `deno task client:types`; a test holds the file against it.
 */

import { createApp } from "../routes/app.ts";

/** What the client sends and gets, by the document's names; what they refer to comes with them. */
const WANTED = [
  "ChatCompletionRequest",
  "ChatCompletion",
  "ChatCompletionChunk",
  "CompletionRequest",
  "TextCompletion",
  "Conversation",
  "ConversationChange",
  "NewConversation",
  "Health",
  "Model",
  "State",
];

/** What of JSON schema the document uses. */
interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  items?: Schema;
  prefixItems?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

type Schemas = Record<string, Schema>;

const HEAD = `/**
 * The API's objects, as workers check and document them. Written by \`deno task client:types\`; what
 * it says stands in the schemas of \`routes\`.
 */
`;

/** The file's text, to be formatted. */
export async function clientTypes(): Promise<string> {
  // Only its document is asked for, which knows no worker.
  const worker = {
    state: "starting",
    reason: null,
    ready: new Promise<never>(() => {}),
    details: {},
    store: null,
  } as const;
  const response = await createApp({ worker }).request("/openapi.json");
  const { components: { schemas } }: { components: { schemas: Schemas } } = await response.json();
  const writer = new TypeWriter(schemas);
  return [HEAD, ...writer.declarations(WANTED)].join("\n");
}
/** Names that the library has for something else. */
const RENAMED: Record<string, string> = {
  TokenLogprob: "ChatTokenLogprob",
  TokenLogprobs: "ChatTokenLogprobs",
};

function nameOf(name: string): string {
  return RENAMED[name] ?? name;
}

/** Of objects that the document shows only where they are used. */
const DESCRIPTIONS: Record<string, string> = {
  ChatCompletionRequest: "A turn to take: what is said, where it goes on from, how it is answered.",
  ChatCompletion: "A turn as it ended, in one choice or several.",
  ChatChoice: "One reply.",
  ChatCompletionChunk: "A piece of a streamed turn.",
  ChatChunkChoice: "What is new of one reply.",
  ChatLogprobs: "How probable the tokens of a reply were.",
  TokenLogprobs: "How probable a token was, and the most probable ones in its place.",
  TokenLogprob: "How probable a token was.",
  CompletionRequest: "A text to be written on as it stands.",
  TextCompletion: "What was written on a text.",
  TextChoice: "One text that was written.",
  TextLogprobs: "How probable the tokens of a text were.",
  Conversation: "A name that moves from state to state as turns are taken.",
  ConversationChange: "What a conversation is to become.",
  NewConversation: "What a new conversation begins with.",
  ResponseInputItem: "A message to add.",
  ResponseInputPart: "A line of a message.",
  Model: "The model that a worker runs.",
  State: "What is known of a stored state.",
  Message: "What somebody says.",
  PromptMessage: "A message that is read.",
  ReplyMessage: "A reply of the model, in a history.",
  TextPart: "A line of a message.",
  TranscriptEntry: "A message as a state keeps it.",
};

class TypeWriter {
  readonly #schemas: Schemas;
  /** What is declared or has to be; names that a declaration refers to are added as it is made. */
  readonly #names = new Set<string>();

  constructor(schemas: Schemas) {
    this.#schemas = schemas;
  }

  *declarations(names: readonly string[]): Generator<string> {
    for (const name of names) this.#names.add(name);
    for (const name of this.#names) yield this.#declaration(name, this.#schemas[name]);
  }

  #declaration(name: string, schema: Schema): string {
    const text = DESCRIPTIONS[name] ?? schema.description;
    if (text === undefined) throw new Error(`Cannot document ${name}: it has no description`);
    const own = isNullable(schema) ? { ...schema, type: typesOf(schema)[0] } : schema;
    const type = this.#type(own);
    const told = nameOf(name);
    const body = type.startsWith("{") ? `interface ${told} ${type}` : `type ${told} = ${type};`;
    return `${comment(text)}export ${body}\n`;
  }

  #type(schema: Schema): string {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split("/").at(-1)!;
      this.#names.add(name);
      // The document says so where the object is described; here it is said where it is used.
      return isNullable(this.#schemas[name]) ? `${nameOf(name)} | null` : nameOf(name);
    }
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)));
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices) return union(choices.map((choice) => this.#type(choice)));
    const types = typesOf(schema);
    if (types.length === 0) return "unknown";
    return union(types.map((type) => this.#plainType(type, schema)));
  }

  #plainType(type: string, schema: Schema): string {
    const { items, prefixItems, properties, required = [], additionalProperties } = schema;
    if (type === "integer") return "number";
    if (type === "array" && prefixItems) {
      return `[${prefixItems.map((item) => this.#type(item)).join(", ")}]`;
    }
    if (type === "array") {
      const item = items ? this.#type(items) : "unknown";
      return item.includes("|") ? `(${item})[]` : `${item}[]`;
    }
    if (type !== "object") return type;
    if (properties === undefined) {
      return additionalProperties
        ? `Record<string, ${this.#type(additionalProperties)}>`
        : "object";
    }
    const fields = Object.entries(properties).map(([name, field]) => {
      const own = this.#type(field);
      const text = field.description ?? DESCRIPTIONS[field.$ref?.split("/").at(-1) ?? ""] ??
        this.#schemas[field.$ref?.split("/").at(-1) ?? ""]?.description;
      const value = required.includes(name) ? `: ${own}` : `?: ${union([own, "undefined"])}`;
      return `${text ? comment(text) : ""}${name}${value};\n`;
    });
    return `{\n${fields.join("")}}`;
  }
}

function typesOf({ type = [] }: Schema): string[] {
  return [type].flat();
}

function isNullable(schema: Schema): boolean {
  return schema.properties !== undefined && typesOf(schema).includes("null");
}

function union(types: readonly string[]): string {
  return [...new Set(types)].join(" | ");
}

/** Of at most 100 characters a line, where it is not indented. */
function comment(text: string): string {
  const lines = text.match(/\S.{0,88}(?=\s|$)/g) ?? [];
  return lines.length === 1
    ? `/** ${lines[0]} */\n`
    : `/**\n${lines.map((line) => ` * ${line}\n`).join("")} */\n`;
}

/** The file's text as the project formats it. */
export async function formattedClientTypes(): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext=ts", "--line-width=100", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const written = new Blob([await clientTypes()]).stream().pipeTo(child.stdin);
  const { success, stdout } = await child.output();
  await written;
  if (!success) throw new Error("Cannot format the client's types");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const file = new URL("../src/client/api_types.ts", import.meta.url);
  await Deno.writeTextFile(file, await formattedClientTypes());
}
