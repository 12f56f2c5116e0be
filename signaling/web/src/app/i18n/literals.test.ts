// No text that people read is written in a component: all of them are in the catalogue. The sources are parsed, so that
// the test finds texts wherever they stand.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseAst } from 'vite';
import { expect, test } from 'vitest';

const APP = join(import.meta.dirname, '..');
/** Names, which are the same in each language. */
const NAMES = new Set(['Leat']);
/** Attributes and properties of components that people see or hear. */
const VISIBLE = new Set([
  'aria-label',
  'aria-description',
  'aria-roledescription',
  'title',
  'placeholder',
  'alt',
  'label',
  'text',
  'note',
]);

interface Node {
  type: string;
  [field: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value;

function childrenOf(node: Node): Node[] {
  return Object.values(node).flatMap((value) => (Array.isArray(value) ? value.filter(isNode) : isNode(value) ? [value] : []));
}

/** The literal texts of a node itself. */
function written({ type, value, quasis }: Node): string[] {
  if (type === 'JSXText' || (type === 'Literal' && typeof value === 'string')) return [value as string];
  if (type !== 'TemplateLiteral') return [];
  return (quasis as { value: { cooked: string } }[]).map(({ value: { cooked } }) => cooked);
}

/** The texts that an expression can have as its value. */
function resultsOf(node: Node): string[] {
  const of = (...fields: string[]) => fields.flatMap((field) => (isNode(node[field]) ? resultsOf(node[field]) : []));
  switch (node.type) {
    case 'ConditionalExpression':
      return of('consequent', 'alternate');
    case 'LogicalExpression':
      return of('right');
    case 'BinaryExpression':
      return node.operator === '+' ? of('left', 'right') : [];
    case 'JSXExpressionContainer':
    case 'TSAsExpression':
      return of('expression');
    default:
      return written(node);
  }
}

const hasWord = (text: string) => /\p{L}/u.test(text) && !NAMES.has(text.trim());
/** "Link copied." is one, also outside JSX; names of classes and keys are none. */
const isSentence = (text: string) => /^\p{Lu}\p{L}* \p{L}/u.test(text);

/** The visible literal texts in a source. */
function visibleTexts(source: string): string[] {
  const found: string[] = [];
  const visit = (node: Node, thrown: boolean) => {
    if (node.type === 'JSXText') found.push(...written(node).filter(hasWord));
    else if (node.type === 'JSXAttribute' && isNode(node.value)) {
      const { name } = node.name as { name: string };
      if (VISIBLE.has(name)) found.push(...resultsOf(node.value).filter(hasWord));
    } else if (node.type === 'JSXElement' || node.type === 'JSXFragment') {
      const expressions = (node.children as Node[]).filter(({ type }) => type === 'JSXExpressionContainer');
      found.push(...expressions.flatMap(resultsOf).filter(hasWord));
    } else if (!thrown) found.push(...written(node).filter(isSentence));
    // The message of an error is for developers.
    for (const child of childrenOf(node)) visit(child, thrown || node.type === 'ThrowStatement');
  };
  visit(parseAst(source, { lang: 'tsx' }) as unknown as Node, false);
  return [...new Set(found.map((text) => text.trim()))];
}

const sources = readdirSync(APP, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path) && !/\.test\.tsx?$/.test(path) && !path.startsWith('i18n'))
  .map((path) => [relative(APP, join(APP, path)), readFileSync(join(APP, path), 'utf8')] as const);

test.each(sources)('%s has no visible literal text', (_, source) => {
  expect(visibleTexts(source)).toEqual([]);
});

test.each([
  ['<p>Hello</p>', ['Hello']],
  ['<button aria-label="Close" className="plain" type="button" />', ['Close']],
  ["<p>{joining ? 'Joining…' : t.join.join}</p>", ['Joining…']],
  ['<p title={`Mute $' + '{name}`}>{name}</p>', ['Mute']],
  ['<p>{on && "on"} {"a" + b}</p>', ['on', 'a']],
  ["notify('Link copied.')", ['Link copied.']],
  // No texts: classes, keys, comparisons, names, and messages of errors.
  ["<p className=\"two words\" data-x={a === 'b' ? 1 : 2}>{states['done']} · 5 <b>Leat</b></p>", []],
  ["if (!x) throw new Error('The page is broken')", []],
])('%s', (source, texts) => {
  expect(visibleTexts(source)).toEqual(texts);
});
