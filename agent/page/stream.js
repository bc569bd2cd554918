// Asks the server, and gives what it streams, piece by piece.

import { sendable } from "./key.js";

const LONGEST_TURN_MS = 8;

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// The key holds letters that no browser sends.
export class Unsendable extends Error {}

// What answered is not Wellread: a proxy's page, say.
export class Foreign extends Error {}

export async function ask(body, key, signal) {
  const headers = { "content-type": "application/json", "x-watch": "on" };
  if (key && !sendable(key)) throw new Unsendable();
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!response.ok) throw new Refused(await errorMessage(response), response.status);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Foreign();
  return response;
}

async function errorMessage(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return "";
  }
}

export async function* chunks(response) {
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    yield JSON.parse(data);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  let since = performance.now();
  for (let part = await reader.read(); !part.done || held; part = await reader.read()) {
    const lines = (held + (part.done ? "\n" : part.value)).split("\n");
    held = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
    if (performance.now() - since > LONGEST_TURN_MS) {
      await letOthersRun();
      since = performance.now();
    }
  }
}

// A timer would do so too, but waits a second in a tab that is not seen.
function letOthersRun() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
