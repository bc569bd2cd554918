// The AI SDK with one provider, named by the first argument: compatible, responses, chat or deepseek.
import { createDeepSeek } from "@ai-sdk/deepseek";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { base, breaks, key, model, question, raised, tell, unknown } from "./asking.mjs";

const settings = { baseURL: `${base}/v1`, apiKey: key };
const providers = {
  compatible: () => createOpenAICompatible({ name: "wellread", includeUsage: true, ...settings }),
  responses: () => createOpenAI(settings).responses,
  chat: () => createOpenAI(settings).chat,
  deepseek: () => createDeepSeek(settings),
};
const provider = providers[process.argv[2]]();
const options = (id, prompt) => ({ model: provider(id), prompt, maxRetries: 0, onError: () => {} });

async function plain() {
  const told = await generateText(options(model, question));
  return { text: told.text, reasoning: told.reasoningText ?? "", citations: told.sources.map((source) => source.url) };
}

async function stream() {
  const seen = { text: "", reasoning: "", citations: [], pieces: 0 };
  for await (const part of streamText(options(model, question)).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") [seen.text, seen.pieces] = [seen.text + part.text, seen.pieces + 1];
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "source") seen.citations.push(part.url);
  }
  return seen;
}

async function drained(content) {
  for await (const part of streamText(options(model, content)).fullStream) if (part.type === "error") throw part.error;
}

async function conversation() {
  const first = await generateText(options(model, question));
  const messages = [{ role: "user", content: question }, ...first.response.messages, { role: "user", content: question }];
  return (await generateText({ model: provider(model), messages, maxRetries: 0 })).text;
}

async function cancelled() {
  const leaving = new AbortController();
  for await (const part of streamText({ ...options(model, question), abortSignal: leaving.signal }).fullStream) {
    if (part.type === "text-delta") leaving.abort();
  }
  return true;
}

tell({
  plain: await plain(),
  stream: await stream(),
  conversation: await conversation(),
  error: await raised(() => generateText(options(unknown, question))),
  broken: await raised(() => drained(breaks)),
  cancelled: await cancelled(),
});
