// Turns the common part of TeX's formulas into MathML: fractions, powers, indices, roots, Greek, operators, matrices.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const TOKENS = /\\[a-zA-Z]+|\\.|[0-9]+(?:[.,][0-9]+)*|\s+|[^]/gu;
const DEEPEST = 60;
const LONGEST = 4000;

const names = (text) => Object.fromEntries(text.trim().split(/\s+/).map((pair) => pair.split("=")));

const LETTERS = names(`alpha=α beta=β gamma=γ delta=δ epsilon=ϵ varepsilon=ε zeta=ζ eta=η theta=θ vartheta=ϑ iota=ι
  kappa=κ lambda=λ mu=μ nu=ν xi=ξ pi=π rho=ρ varrho=ϱ sigma=σ tau=τ upsilon=υ phi=ϕ varphi=φ chi=χ psi=ψ omega=ω
  Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Xi=Ξ Pi=Π Sigma=Σ Phi=Φ Psi=Ψ Omega=Ω infty=∞ hbar=ℏ ell=ℓ partial=∂ nabla=∇
  emptyset=∅ varnothing=∅ Re=ℜ Im=ℑ aleph=ℵ ldots=… dots=… cdots=⋯ vdots=⋮ degree=° circ=∘ prime=′`);
const OPERATORS = names(`cdot=⋅ times=× div=÷ pm=± mp=∓ le=≤ leq=≤ ge=≥ geq=≥ ne=≠ neq=≠ approx=≈ equiv=≡ sim=∼ simeq=≃
  cong=≅ propto=∝ ll=≪ gg=≫ in=∈ notin=∉ ni=∋ subset=⊂ subseteq=⊆ supset=⊃ supseteq=⊇ cup=∪ cap=∩ setminus=∖ land=∧
  lor=∨ wedge=∧ vee=∨ neg=¬ forall=∀ exists=∃ to=→ rightarrow=→ leftarrow=← leftrightarrow=↔ Rightarrow=⇒ Leftarrow=⇐
  Leftrightarrow=⇔ implies=⟹ iff=⟺ mapsto=↦ ast=∗ star=⋆ oplus=⊕ otimes=⊗ perp=⊥ parallel=∥ mid=∣ angle=∠ langle=⟨
  rangle=⟩ lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ vert=| Vert=‖ lvert=| rvert=| uparrow=↑ downarrow=↓`);
const LARGE = names("sum=∑ prod=∏ coprod=∐ int=∫ iint=∬ iiint=∭ oint=∮ bigcup=⋃ bigcap=⋂");
const WITH_LIMITS = new Set(["∑", "∏", "∐", "⋃", "⋂", "lim", "max", "min", "sup", "inf"]);
const FUNCTIONS = new Set(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf
  det dim ker gcd deg arg mod Pr`.split(/\s+/));
const ACCENTS = names("hat=^ widehat=^ bar=¯ overline=¯ vec=→ tilde=~ widetilde=~ dot=˙ ddot=¨");
const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.33em", "!": "-0.17em", quad: "1em", qquad: "2em" };
const VARIANTS = { mathrm: "normal", mathbf: "bold", mathit: "italic", operatorname: "normal", boldsymbol: "bold" };
const TEXTS = new Set(["text", "textrm", "textbf", "textit", "mbox"]);
const SIZES = new Set(["big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle", "limits", "nolimits"]);
const FENCES = { matrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], vmatrix: ["|", "|"], cases: ["{", ""], aligned: ["", ""] };
const DOUBLE = names("C=ℂ H=ℍ N=ℕ P=ℙ Q=ℚ R=ℝ Z=ℤ");

class NotKnown extends Error {}

export function math(source, display) {
  try {
    if (source.length > LONGEST) throw new NotKnown();
    const reader = new Reader(source.match(TOKENS) ?? []);
    const made = node("math", reader.row());
    if (!reader.ended) throw new NotKnown();
    if (display) made.setAttribute("display", "block");
    return made;
  } catch (error) {
    if (error instanceof NotKnown) return null;
    throw error;
  }
}

function node(name, ...children) {
  const made = document.createElementNS(MATHML, name);
  made.append(...children);
  return made;
}

function withAttribute(made, name, value) {
  made.setAttribute(name, value);
  return made;
}

const operator = (text) => node("mo", text);
const fence = (text, form) => withAttribute(withAttribute(operator(text), "stretchy", "true"), "form", form);

class Reader {
  constructor(tokens) {
    this.tokens = tokens;
    this.at = 0;
    this.depth = 0;
  }

  get ended() {
    this.skipSpace();
    return this.at >= this.tokens.length;
  }

  peek() {
    this.skipSpace();
    return this.tokens[this.at];
  }

  next() {
    this.skipSpace();
    if (this.at >= this.tokens.length) throw new NotKnown();
    return this.tokens[this.at++];
  }

  skipSpace() {
    while (/^\s+$/.test(this.tokens[this.at] ?? "")) this.at += 1;
  }

  expect(token) {
    if (this.next() !== token) throw new NotKnown();
  }

  row(...ends) {
    if (++this.depth > DEEPEST) throw new NotKnown();
    const made = node("mrow");
    while (!this.ended && !["}", "&", "\\\\", "\\right", "\\end", ...ends].includes(this.peek())) made.append(this.scripted());
    this.depth -= 1;
    return made;
  }

  // One thing with what stands above and below it.
  scripted() {
    const body = this.atom();
    let below = null;
    let above = null;
    for (let token = this.peek(); ["^", "_", "'"].includes(token); token = this.peek()) {
      if (token === "_" ? below : above) throw new NotKnown();
      if (token === "_") below = this.script();
      else above = token === "'" ? this.primes() : this.script();
    }
    return placed(body, below, above);
  }

  script() {
    this.next();
    return this.argument();
  }

  primes() {
    let count = 0;
    for (; this.peek() === "'"; this.at += 1) count += 1;
    return operator("′".repeat(count));
  }

  // What a command is given: a group, or the one thing that follows.
  argument() {
    if (this.peek() !== "{") return this.atom();
    return this.group();
  }

  group() {
    this.expect("{");
    const made = this.row();
    this.expect("}");
    return made;
  }

  atom() {
    const token = this.next();
    if (token === "{") {
      this.at -= 1;
      return this.group();
    }
    if (token.startsWith("\\")) return this.command(token.slice(1));
    if (/^\d/.test(token)) return node("mn", token);
    if (/^\p{L}/u.test(token)) return node("mi", token);
    if ("^_}&#%$~".includes(token)) throw new NotKnown();
    return operator(token === "-" ? "−" : token);
  }

  command(name) {
    if (Object.hasOwn(LETTERS, name)) return node("mi", LETTERS[name]);
    if (Object.hasOwn(OPERATORS, name)) return operator(OPERATORS[name]);
    if (Object.hasOwn(LARGE, name)) return operator(LARGE[name]);
    if (FUNCTIONS.has(name)) return node("mi", name);
    if (Object.hasOwn(SPACES, name)) return withAttribute(node("mspace"), "width", SPACES[name]);
    if (Object.hasOwn(ACCENTS, name)) return this.accent(ACCENTS[name]);
    if (Object.hasOwn(VARIANTS, name)) return this.variant(VARIANTS[name]);
    if (TEXTS.has(name)) return node("mtext", this.words());
    if (SIZES.has(name)) return node("mrow");
    if ("{}%#&$_".includes(name)) return operator(name);
    if (name === "|") return operator("‖");
    return this.structure(name);
  }

  structure(name) {
    if (["frac", "dfrac", "tfrac"].includes(name)) return node("mfrac", this.argument(), this.argument());
    if (name === "sqrt") return this.root();
    if (name === "left") return this.fenced();
    if (name === "binom") return this.binomial();
    if (name === "mathbb") return node("mi", this.doubleStruck());
    if (name === "begin") return this.environment();
    throw new NotKnown();
  }

  accent(sign) {
    return withAttribute(node("mover", this.argument(), operator(sign)), "accent", "true");
  }

  // Letters of one word stand upright and together.
  variant(kind) {
    const words = this.words();
    const made = withAttribute(node("mi", words), "mathvariant", "normal");
    if (kind !== "normal") made.style[kind === "bold" ? "fontWeight" : "fontStyle"] = kind;
    return made;
  }

  // The plain words between braces.
  words() {
    this.expect("{");
    const start = this.at;
    while (this.tokens[this.at] !== "}") {
      const token = this.tokens[this.at++];
      if (token === undefined || "{$".includes(token) || token.startsWith("\\")) throw new NotKnown();
    }
    return this.tokens.slice(start, this.at++).join("").replaceAll(" ", "\u00a0");
  }

  doubleStruck() {
    const letter = this.words();
    if (!Object.hasOwn(DOUBLE, letter)) throw new NotKnown();
    return DOUBLE[letter];
  }

  root() {
    if (this.peek() !== "[") return node("msqrt", this.argument());
    this.next();
    const degree = this.row("]");
    this.expect("]");
    return node("mroot", this.argument(), degree);
  }

  fenced() {
    const opening = this.delimiter();
    const inside = this.row();
    this.expect("\\right");
    return node("mrow", fence(opening, "prefix"), inside, fence(this.delimiter(), "postfix"));
  }

  delimiter() {
    const token = this.next();
    if (token === ".") return "";
    const name = token.replace(/^\\/, "");
    if (Object.hasOwn(OPERATORS, name)) return OPERATORS[name];
    if (name === "|" && token !== name) return "‖";
    if (!"()[]{}|/<>".includes(name)) throw new NotKnown();
    return name;
  }

  binomial() {
    const parts = withAttribute(node("mfrac", this.argument(), this.argument()), "linethickness", "0");
    return node("mrow", fence("(", "prefix"), parts, fence(")", "postfix"));
  }

  environment() {
    const name = this.words().replace("*", "");
    if (!Object.hasOwn(FENCES, name)) throw new NotKnown();
    const table = node("mtable", ...this.rows());
    if (this.words().replace("*", "") !== name) throw new NotKnown();
    const [opening, closing] = FENCES[name];
    return node("mrow", fence(opening, "prefix"), table, fence(closing, "postfix"));
  }

  rows() {
    const made = [node("mtr")];
    for (;;) {
      made.at(-1).append(node("mtd", this.row()));
      const token = this.next();
      if (token === "\\end") return made;
      if (token === "\\\\") made.push(node("mtr"));
      else if (token !== "&") throw new NotKnown();
    }
  }
}

function placed(body, below, above) {
  if (!below && !above) return body;
  const [both, under, over] = WITH_LIMITS.has(body.textContent) ? ["munderover", "munder", "mover"] : ["msubsup", "msub", "msup"];
  if (below && above) return node(both, body, below, above);
  return below ? node(under, body, below) : node(over, body, above);
}
