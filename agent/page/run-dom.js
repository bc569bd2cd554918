// Makes elements. What strangers wrote gets in as text only, and as a link only where it leads to the web.

const SVG = "http://www.w3.org/2000/svg";
// They turn the order of the words around them: a title could dress up as another site's.
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

export function plain(text) {
  return String(text ?? "").replace(DIRECTIONS, "").replace(CONTROLS, " ");
}

// The word for a name that the server gave, else the name.
export function named(words, name) {
  return Object.hasOwn(words, name) ? words[name] : plain(name);
}

export function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function said(text) {
  return make("bdi", {}, plain(text));
}

export function link(url, text) {
  if (!leadsToTheWeb(url)) return said(text);
  return make("a", { href: url, rel: "noopener noreferrer nofollow" }, said(text));
}

function leadsToTheWeb(url) {
  const address = parsed(url);
  return address !== null && (address.protocol === "http:" || address.protocol === "https:");
}

export function site(url) {
  const address = parsed(url);
  return plain(address ? address.host.replace(/^www\./, "") || address.protocol : url);
}

function parsed(url) {
  try {
    return new URL(url);
  } catch {
    return null;
  }
}
