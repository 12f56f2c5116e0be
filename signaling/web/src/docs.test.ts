// @vitest-environment jsdom
// Every Mermaid diagram of the README and of docs/ parses. Mermaid sanitizes labels with a DOM, so this file
// needs jsdom.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import mermaid from 'mermaid';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');

interface Diagram {
  /** `docs/page.md:12`: the line of the opening fence. */
  readonly place: string;
  readonly source: string;
}

/** The Mermaid blocks of a page. A block that is not closed reaches to the end of the page. */
function diagrams(page: string, text: string): Diagram[] {
  const found: Diagram[] = [];
  let block: { line: number; indent: number; lines: string[] } | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^( *)(```+)(.*)$/.exec(line);
    if (block !== null && fence !== null && fence[3]?.trim() === '') {
      found.push({ place: `${page}:${block.line}`, source: block.lines.join('\n') });
      block = null;
    } else if (block !== null) {
      block.lines.push(line.slice(block.indent));
    } else if (fence !== null && fence[3]?.trim().toLowerCase() === 'mermaid') {
      block = { line: index + 1, indent: fence[1]?.length ?? 0, lines: [] };
    }
  }
  if (block !== null) found.push({ place: `${page}:${block.line}`, source: block.lines.join('\n') });
  return found;
}

const pages = [
  join(root, 'README.md'),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, 'docs', name)),
];
const all = pages.flatMap((page) => diagrams(relative(root, page), readFileSync(page, 'utf8')));

test('README and docs contain flowcharts, sequence diagrams and state diagrams', async () => {
  const kinds = await Promise.all(all.map(async ({ source }) => (await mermaid.parse(source)).diagramType));
  expect(all.filter(({ place }) => place.startsWith('README.md'))).not.toHaveLength(0);
  expect(kinds).toEqual(expect.arrayContaining(['flowchart-v2', 'sequence', 'stateDiagram']));
});

test.each(all)('diagram at $place parses', async ({ source }) => {
  await expect(mermaid.parse(source)).resolves.toBeTruthy();
});

test('broken diagrams do not parse', async () => {
  const page = [
    'text',
    '```mermaid',
    'graph TD',
    'A --> --> B',
    '```',
    '```sh',
    'ls',
    '```',
    ' ```mermaid',
    ' sequenceDiagram',
    ' A-->',
  ];
  const broken = diagrams('page.md', page.join('\n'));
  expect(broken.map(({ place }) => place)).toEqual(['page.md:2', 'page.md:9']);
  for (const { source } of broken) await expect(mermaid.parse(source)).rejects.toThrow();
});
