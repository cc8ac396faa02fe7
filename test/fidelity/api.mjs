// What a syntax tree uses of the system's API: messages with the static type of their receiver, enumerators, functions, constants.

const plain = (type) =>
  type
    .replace(/\b(const|__strong|__weak|__autoreleasing|__unsafe_unretained|_Nonnull|_Nullable|_Null_unspecified)\b/g, '')
    .replace(/\s*\*\s*$/, '')
    .replace(/^id<(.+)>$/, '$1')
    .trim();

// What a message without an expression for its receiver goes to.
const literals = { ObjCBoxedExpr: 'NSString', ObjCStringLiteral: 'NSString' };

function receiver(node) {
  if (node.receiverKind === 'class') return plain(node.classType.qualType);
  return plain(node.inner[0].type.qualType);
}

const enumerator = /^(MTL|MPS|NS)[A-Z]/;

/** Adds the uses in `node` to the set `uses`; names of functions and variables are only candidates: they may be the project's own. */
export function collect(node, uses, candidates) {
  if (node.kind === 'ObjCMessageExpr') {
    const sign = node.receiverKind === 'class' ? '+' : '-';
    uses.add(`${sign}[${receiver(node)} ${node.selector}]`);
  } else if (literals[node.kind] && node.selector) {
    uses.add(`+[${literals[node.kind]} ${node.selector}]`);
  } else if (node.kind === 'ObjCForCollectionStmt') {
    uses.add('-[NSFastEnumeration countByEnumeratingWithState:objects:count:]');
  }
  const { referencedDecl } = node;
  if (referencedDecl?.kind === 'EnumConstantDecl' && enumerator.test(referencedDecl.name)) uses.add(referencedDecl.name);
  if (referencedDecl?.kind === 'FunctionDecl' || referencedDecl?.kind === 'VarDecl') candidates.add(referencedDecl.name);
  for (const child of node.inner ?? []) collect(child, uses, candidates);
}

/** Of an object file: its undefined C symbols and Objective-C classes, and every selector it sends. */
export function references(object, tools, run) {
  const undefined_ = run(tools.nm, ['-u', object])
    .split('\n')
    .map((line) => line.replace(/^\s*U?\s*/, '').trim())
    .filter((name) => name.startsWith('_'));
  const classes = undefined_.filter((name) => name.startsWith('_OBJC_CLASS_$_')).map((name) => name.slice('_OBJC_CLASS_$_'.length));
  const symbols = undefined_.filter((name) => !name.startsWith('_OBJC_') && !name.startsWith('__Z')).map((name) => name.slice(1));
  const section = run(tools.objdump, ['--macho', '--section=__TEXT,__objc_methname', object]);
  const selectors = [...section.matchAll(/^[0-9a-f]+\s+(\S+)$/gm)].map((match) => match[1]);
  return { classes, symbols, selectors };
}
