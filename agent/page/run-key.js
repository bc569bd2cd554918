// The field for a key, where the server wants one.

import { make } from "./run-dom.js";

export function keyForm(words, wrong, onKey) {
  const field = make("input", {
    id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: "", "aria-describedby": "key-why",
  });
  const why = make("p", { id: "key-why", role: wrong && "alert" }, wrong ? words.keyWrong : words.keyWhy);
  const form = make(
    "form",
    { class: "key" },
    make("label", { for: "key" }, words.keyLabel),
    field,
    make("button", { type: "submit" }, words.keyButton),
    why,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) onKey(field.value.trim());
  });
  return form;
}
