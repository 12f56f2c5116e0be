// docs/protocol.md is complete: it has every request, answer, notification and error code of signal.proto, and
// names nothing that does not exist.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { SignalSchema } from './gen/signal_pb';

const root = join(import.meta.dirname, '../../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const commented = read('signaling/proto/signal.proto');
const proto = commented.replace(/\/\/.*$/gm, '');
const page = read('docs/protocol.md');

/** Sent by both sides: the request of a client is the notification of the server. */
const BOTH_WAYS = ['Offer'];

/** The messages and enums of signal.proto by name, with the text between their braces. */
function definitions(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const { 0: head, 1: name = '', index } of text.matchAll(/^(?:message|enum) (\w+) \{/gm)) {
    let end = index + head.length;
    for (let depth = 1; depth > 0; end += 1) depth += text[end] === '{' ? 1 : text[end] === '}' ? -1 : 0;
    found.set(name, text.slice(index + head.length, end - 1));
  }
  return found;
}

/** The types of the fields in a block, or their names. */
const fieldsOf = (block: string, part: 'type' | 'name') =>
  [...block.matchAll(/(?:optional |repeated )?(?<type>[\w.]+|map<[^>]+>) (?<name>\w+) = \d+;/g)].map(
    ({ groups }) => groups?.[part] ?? '',
  );

/** The section of the page below a heading, up to the next heading of the same or a higher level. */
function section(heading: string): string {
  const [, after] = page.split(`\n${heading}\n`);
  const level = heading.indexOf(' ');
  return after?.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

/** The rows of the tables in a text, without heads, as cells. */
const rowsOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -2).split(' | '));

const spansIn = (text = '') => [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);

const messages = definitions(proto);
const oneof = /oneof payload \{([^}]*)\}/.exec(messages.get('Signal') ?? '')?.[1] ?? '';
const payloads = fieldsOf(oneof, 'type');
const codes = new Map(
  [...(messages.get('ErrorCode') ?? '').matchAll(/ERROR_CODE_(\w+) = (\d+);/g)].map(([, name = '', number]) => [
    name,
    Number(number),
  ]),
);
const variants = /pub enum Request \{([^}]*)\}/.exec(read('signaling/src/protocol/request.rs'))?.[1] ?? '';
const requests = [...variants.matchAll(/^ {4}(\w+)/gm)].map(([, name = '']) => name);

const requestRows = rowsOf(section('## Requests')).filter(([name]) => name !== 'request');
const notificationRows = rowsOf(section('## Notifications')).filter(([name]) => name !== 'notification');
const notifications = notificationRows.flatMap(([names]) => spansIn(names));

test('the page has every request that the server accepts', () => {
  expect(requests.length).toBeGreaterThan(30);
  expect(requestRows.flatMap(([name]) => spansIn(name)).sort()).toEqual([...requests].sort());
});

test('every payload of Signal is a request, an answer or a notification', () => {
  const answers = requestRows.flatMap(([, answer]) => spansIn(answer));
  const described = new Set([...requests, ...answers, ...notifications]);
  expect([...described].sort()).toEqual([...payloads].sort());
});

test('each request has the answer that signal.proto names; without one, Ack', () => {
  const documented = new Map(
    [...commented.matchAll(/((?:^\/\/.*\n)+)message (\w+)/gm)].map(([, comment = '', name]) => [
      name,
      /(?:Answer:|answered with)\s(\w+)/.exec(comment.replace(/\n\/\//g, ''))?.[1] ?? 'Ack',
    ]),
  );
  expect(documented.get('RestartIce')).toBe('IceRestarted');
  const expected = requests.map((name) => [name, documented.get(name) ?? 'Ack']);
  const described = requestRows.map(([name, answer]) => [spansIn(name)[0], spansIn(answer)[0]]);
  expect(described.sort()).toEqual(expected.sort());
});

test('requests are not notifications, except what both sides send', () => {
  expect(notifications.filter((name) => requests.includes(name))).toEqual(BOTH_WAYS);
});

test('the page has every error code with its number', () => {
  const described = rowsOf(section('## Errors'))
    .filter(([number]) => number !== 'number')
    .map(([number, code]) => [spansIn(code)[0], Number(number)]);
  expect(described).toEqual([...codes]);
});

test('the errors of requests exist', () => {
  const named = requestRows.flatMap(([, , , errors]) => spansIn(errors)).filter((name) => /^[A-Z_]+$/.test(name));
  expect(named).not.toHaveLength(0);
  expect(named.filter((name) => !codes.has(name))).toEqual([]);
});

test('permissions of requests are claims of a token', () => {
  const claims = spansIn(
    rowsOf(read('docs/access.md'))
      .map(([name]) => name)
      .join(' '),
  );
  const named = requestRows.flatMap(([, , permission]) => spansIn(permission));
  expect(named).toContain('canPublish');
  expect(named.filter((name) => !claims.includes(name))).toEqual([]);
});

test('fields that the page names exist', () => {
  const named = spansIn(page).filter((span) => /^[A-Z]\w+\.\w+$/.test(span));
  expect(named).not.toHaveLength(0);
  const missing = named.filter((span) => {
    const [message = '', field = ''] = span.split('.');
    return !fieldsOf(messages.get(message) ?? '', 'name').includes(field);
  });
  expect(missing).toEqual([]);
});

test('the page has the states of a session', () => {
  const transitions = JSON.parse(read('signaling/proto/session_states.json')) as [string, string, string][];
  const states = new Set(transitions.flatMap(([from, , to]) => [from, to]));
  const described = new Set(rowsOf(section('## States')).flatMap(([state]) => spansIn(state)));
  described.delete('Waiting');
  expect(described).toEqual(states);
});

test('the bytes of the example are a JoinRoom', () => {
  const example = /```text\n([0-9a-f ]+)\n```/.exec(page)?.[1];
  const signal = create(SignalSchema, { version: '1', payload: { case: 'joinRoom', value: { room: 'millpond' } } });
  expect(example).toBe(
    Buffer.from(toBinary(SignalSchema, signal))
      .toString('hex')
      .replace(/(..)(?=.)/g, '$1 '),
  );
});
