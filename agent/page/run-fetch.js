// Asks the server for the record of the run that the page's address names, with the key of this tab.

import { sendable, storedKey } from "./key.js";

// Returns {status, text}; status 0: no server was reached.
export async function fetched() {
  const key = storedKey();
  if (key && !sendable(key)) return { status: 401, text: "" };
  try {
    const reply = await fetch(`../v1/runs/${runId()}`, { headers: key ? { authorization: `Bearer ${key}` } : {} });
    return { status: reply.status, text: await reply.text() };
  } catch {
    return { status: 0, text: "" };
  }
}

// As it stands in the address: it is escaped there already.
function runId() {
  return location.pathname.split("/").at(-1);
}

// What stands before the server, a proxy, knows nothing of the form of its errors.
export function messageOf({ status, text }) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `HTTP ${status}`;
  }
}
