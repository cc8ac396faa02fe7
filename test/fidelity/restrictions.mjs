// What the Metal Shading Language leaves out of C++14 (specification, "Restrictions") and this project's kernels leave out besides,
// found in the tokens of a preprocessed kernel file.

const keywords = {
  double: 'double',
  goto: 'goto',
  virtual: 'virtual function',
  new: 'dynamic allocation',
  delete: 'dynamic allocation',
  malloc: 'dynamic allocation',
  free: 'dynamic allocation',
  throw: 'exception',
  try: 'exception',
  catch: 'exception',
  noexcept: 'noexcept',
  dynamic_cast: 'type identification',
  typeid: 'type identification',
  thread_local: 'thread_local',
  register: 'register',
  asm: 'assembly',
  std: 'the standard library',
  // Its layout is each GPU's own.
  thread_elements: 'thread_elements',
};
const spaces = ['device', 'constant', 'threadgroup', 'thread'];
const token = /\[\[|\]\]|::|->|&&|\|\||[A-Za-z_]\w*|\.?\d(?:[eEpP][+-]|[\w.])*|"(?:\\.|[^"\\])*"|[^\s]/g;
const isWord = (text) => /^[A-Za-z_]/.test(text ?? '');

/** `{ text, line, file }` of every token outside attributes, with the positions that `# line` directives give. */
function tokenize(preprocessed) {
  const tokens = [];
  let line = 0;
  let file = '';
  let inAttribute = false;
  for (const row of preprocessed.split('\n')) {
    const directive = /^#\s*(?:line\s+)?(\d+)\s+"([^"]*)"/.exec(row);
    if (directive) {
      line = Number(directive[1]);
      file = directive[2];
      continue;
    }
    for (const [text] of row.startsWith('#') ? [] : row.matchAll(token)) {
      if (text === '[[') inAttribute = true;
      else if (text === ']]' && inAttribute) inAttribute = false;
      else if (!inAttribute) tokens.push({ text, line, file });
    }
    line++;
  }
  return tokens;
}

/** A literal that C++ takes for a double. */
const isDouble = (text) => /^\.?\d/.test(text) && !/^0[xX]/.test(text) && /[.eE]/.test(text) && !/[fFhH]$/.test(text);

/** Index of the first token of the declaration or statement that holds token i. */
function beginning(tokens, i) {
  let depth = 0;
  for (let k = i - 1; k >= 0; k--) {
    const { text } = tokens[k];
    if (text === ')' || text === '>') depth++;
    if (text === '(' || text === '<') depth--;
    if (depth < 0 || (depth === 0 && [',', ';', '{', '}'].includes(text))) return k + 1;
  }
  return 0;
}

const builtin =
  /^(void|bool|char|short|int|long|unsigned|signed|float|half|uchar|ushort|uint|ulong|size_t|u?int\d+_t|bf16|auto|(?:packed_)?(?:float|half|u?int|u?short|u?char|u?long|bool)[234])$/;

/** Whether the word before `*` or `&` names a type, so that the sign declares a pointer or reference and does not compute. */
function namesType(tokens, i, types) {
  let k = i - 1;
  if (tokens[k]?.text === 'const') k--;
  if (tokens[k]?.text === '>') {
    for (let depth = 0; k >= 0; k--) {
      if (tokens[k].text === '>') depth++;
      if (tokens[k].text === '<' && --depth === 0) break;
    }
    k--;
  }
  const word = tokens[k]?.text ?? '';
  return builtin.test(word) || types.has(word);
}

/** Names of structures, aliases and template parameters of the file. */
function typesOf(tokens) {
  const types = new Set();
  tokens.forEach(({ text }, i) => {
    const next = tokens[i + 1]?.text;
    if (['struct', 'class', 'union', 'enum', 'typename', 'using'].includes(text) && isWord(next)) types.add(next);
    if (text === 'typename' && tokens[i + 2]?.text === '::') types.add(tokens[i + 3].text);
    if (text === 'typedef') {
      const end = tokens.findIndex((other, k) => k > i && other.text === ';');
      if (end > 0) types.add(tokens[end - 1].text);
    }
  });
  return types;
}

/** What a preprocessed kernel file holds that MSL does not allow: lines of `file:line: message`. */
export function checkRestrictions(preprocessed) {
  const tokens = tokenize(preprocessed);
  const types = typesOf(tokens);
  const found = [];
  const report = (i, message) => found.push(`${tokens[i].file}:${tokens[i].line}: ${message}`);
  tokens.forEach(({ text }, i) => {
    const before = tokens[i - 1]?.text;
    const after = tokens[i + 1]?.text;
    if (Object.hasOwn(keywords, text)) report(i, keywords[text]);
    if (isDouble(text)) report(i, `${text} is a double: it lacks its f`);
    if (text === '[' && (before === 'return' || (!isWord(before) && ![')', ']', ']]'].includes(before)))) report(i, 'lambda');
    if (['struct', 'class'].includes(text) && isWord(after)) {
      const opening = tokens.slice(i).findIndex((other) => ['{', ';', '(', ')', ',', '='].includes(other.text));
      if (tokens[i + opening]?.text === '{' && tokens.slice(i, i + opening).some((other) => other.text === ':')) report(i, 'derived structure');
    }
    // (*name)( is how a pointer to a function is declared or called.
    if (text === '(' && after === '*' && isWord(tokens[i + 2]?.text) && tokens[i + 3]?.text === ')' && tokens[i + 4]?.text === '(')
      report(i, 'function pointer');
    if ((text === '*' || text === '&') && isWord(after) && namesType(tokens, i, types)) {
      const declaration = tokens.slice(beginning(tokens, i), i).map((other) => other.text);
      if (!declaration.some((word) => spaces.includes(word))) report(i, `a ${text === '*' ? 'pointer' : 'reference'} without an address space`);
    }
  });
  return found;
}
