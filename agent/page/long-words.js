// Words of thousands of letters: the Markdown reader's time grows with the square of their length. They are text as a whole.

const LONGEST = 2_000;
const SPAN = 2 * LONGEST;
// What an e-mail address may be made of, which the reader looks for at each letter.
const LONG = /[\w.!#$%&'*+/=?^`{|}~-]{2000,}/;
const HERE = new RegExp(LONG.source, "y");
let someAre = false;

// Looks through a text before it is read: most have none.
export function lookForLongWords(text) {
  someAre = LONG.test(text);
}

export const LONG_WORDS = {
  name: "longWord",
  level: "inline",
  start(source) {
    if (!someAre) return undefined;
    const near = source.slice(0, SPAN).search(LONG);
    return near >= 0 ? near : source.length > SPAN ? LONGEST : undefined;
  },
  tokenizer(source) {
    HERE.lastIndex = 0;
    const [raw] = (someAre && HERE.exec(source)) || [];
    return raw && { type: "text", raw, text: raw };
  },
};
