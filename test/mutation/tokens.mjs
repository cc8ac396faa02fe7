// Metal source as tokens with their places; comments and preprocessor lines are left out.

const pattern =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|#(?:[^\n\\]|\\[\s\S])*|"(?:[^"\\]|\\.)*"|\d[\w.]*|\w+|::|->|\+\+|--|<<=|>>=|<<|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\[\[|\]\]|\S/gy;

/** [{ text, start, end }] of a source. */
export function tokenize(source) {
  const tokens = [];
  pattern.lastIndex = 0;
  for (let at = 0; at < source.length; ) {
    if (/\s/.test(source[at])) {
      at++;
      continue;
    }
    pattern.lastIndex = at;
    const text = pattern.exec(source)[0];
    if (!/^(\/\/|\/\*|#)/.test(text)) tokens.push({ text, start: at, end: at + text.length });
    at += text.length;
  }
  return tokens;
}

const brackets = { '(': ')', '[': ']', '{': '}', '[[': ']]' };
const closing = Object.fromEntries(Object.entries(brackets).map(([open, close]) => [close, open]));

/** Position of the bracket that closes the one at `i`. */
export function closes(tokens, i) {
  let depth = 0;
  for (let at = i; at < tokens.length; at++) {
    if (tokens[at].text in brackets) depth++;
    if (tokens[at].text in closing && --depth === 0) return at;
  }
  throw new Error(`unbalanced ${tokens[i].text}`);
}

/** Parts of tokens [from, to) between top-level `separators`: pairs [from, to). */
export function split(tokens, from, to, separators) {
  const parts = [];
  let [depth, start] = [0, from];
  for (let at = from; at < to; at++) {
    const { text } = tokens[at];
    if (text in brackets) depth++;
    if (text in closing) depth--;
    if (depth !== 0 || !separators.includes(text)) continue;
    parts.push([start, at]);
    start = at + 1;
  }
  return [...parts, [start, to]];
}

/** Start of the expression that ends before `i`: behind the nearest separator or opening bracket. */
export function expressionStart(tokens, i) {
  let depth = 0;
  let at = i - 1;
  for (; at >= 0; at--) {
    const { text } = tokens[at];
    if (text in closing) depth++;
    if (text in brackets && --depth < 0) break;
    if (depth === 0 && ['=', ',', ';', '?', ':', 'return', '{', '}', '+=', '-=', '*=', '/='].includes(text)) break;
  }
  return at + 1;
}

/** For every token the function that it is in, as Struct::name; '' outside. */
export function functionsOf(tokens) {
  const names = new Array(tokens.length).fill('');
  const scopes = []; // of open braces: { struct } or { function }
  for (let i = 0; i < tokens.length; i++) {
    const inFunction = scopes.findLast((scope) => scope.name !== undefined);
    if (inFunction) names[i] = inFunction.name;
    if (tokens[i].text === '}') scopes.pop();
    if (tokens[i].text !== '{') continue;
    if (inFunction) {
      scopes.push({});
      continue;
    }
    let before = i - 1;
    while (['const', 'noexcept'].includes(tokens[before]?.text)) before--;
    if (tokens[before]?.text === ')') {
      let depth = 0;
      let at = before;
      for (; at >= 0; at--) {
        if (tokens[at].text === ')') depth++;
        if (tokens[at].text === '(' && --depth === 0) break;
      }
      const struct = scopes.findLast((scope) => scope.struct)?.struct;
      scopes.push({ name: `${struct ? `${struct}::` : ''}${tokens[at - 1].text}` });
    } else {
      const statement = expressionStart(tokens, i);
      const word = tokens.findIndex((token, at) => at >= statement && at < i && token.text === 'struct');
      scopes.push(word < 0 ? {} : { struct: tokens[word + 1].text });
    }
  }
  return names;
}
