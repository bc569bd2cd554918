// The openai package for Node, chat completions and responses.
import OpenAI from "openai";
import { base, breaks, key, model, question, raised, tell, unknown } from "./asking.mjs";

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const asked = (content) => [{ role: "user", content }];
const urls = (annotations) => annotations.map((annotation) => annotation.url_citation.url);

async function plain() {
  const { message } = (await client.chat.completions.create({ model, messages: asked(question) })).choices[0];
  return { text: message.content, reasoning: message.reasoning_content, citations: urls(message.annotations) };
}

async function stream() {
  const seen = { text: "", reasoning: "", citations: [], pieces: 0 };
  for await (const chunk of await client.chat.completions.create({ model, messages: asked(question), stream: true })) {
    const { delta } = chunk.choices[0];
    seen.text += delta.content ?? "";
    seen.reasoning += delta.reasoning_content ?? "";
    seen.citations.push(...urls(delta.annotations ?? []));
    seen.pieces += delta.content ? 1 : 0;
  }
  return seen;
}

async function helper() {
  return await client.chat.completions.stream({ model, messages: asked(question) }).finalContent();
}

async function responses() {
  const seen = { text: "", reasoning: "", citations: [] };
  for await (const event of await client.responses.create({ model, input: question, stream: true })) {
    if (event.type === "response.output_text.delta") seen.text += event.delta;
    if (event.type === "response.reasoning_summary_text.delta") seen.reasoning += event.delta;
    if (event.type === "response.output_text.annotation.added") seen.citations.push(event.annotation.url);
  }
  seen.whole = (await client.responses.create({ model, input: question })).output_text;
  return seen;
}

async function cancelled() {
  const events = await client.chat.completions.create({ model, messages: asked(question), stream: true });
  for await (const chunk of events) if (chunk.choices[0].delta.content) break;
  return true;
}

async function drained(content) {
  for await (const _ of await client.chat.completions.create({ model, messages: asked(content), stream: true }));
}

tell({
  plain: await plain(),
  stream: await stream(),
  helper: await helper(),
  responses: await responses(),
  error: await raised(() => client.chat.completions.create({ model: unknown, messages: asked(question) })),
  broken: await raised(() => drained(breaks)),
  cancelled: await cancelled(),
});
