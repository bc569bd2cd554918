// The key of this tab, as both pages keep it.

import { recall, remember } from "./storage.js";

const KEY = "wellread.key";
// A browser sends no other letters in a header.
const SENDABLE = /^[\x21-\x7e]+$/;

export const storedKey = () => (recall("sessionStorage", KEY) ?? "").trim();
export const storeKey = (key) => remember("sessionStorage", KEY, key.trim());
export const sendable = (key) => SENDABLE.test(key);
