// @vitest-environment jsdom
import { act, createElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FileTransfer, Peer } from '../sdk';
import { useCallStore } from '../stores/useCallStore';
import { type FileActions, Files } from './components/Files';
import { progressText, receiversText, sizeText, stateText, timeLeftText } from './file_texts';
import { t } from './i18n';

let root: Root;
let page: HTMLElement;
const called: unknown[][] = [];
const names = ['send', 'accept', 'decline', 'pause', 'resume', 'cancel', 'save', 'remove'] as const;
const actions = Object.fromEntries(
  names.map((name) => [name, (...values: unknown[]) => void called.push([name, ...values])]),
) as unknown as FileActions;

function transfer(rest: Partial<FileTransfer> = {}): FileTransfer {
  const metadata = { name: 'plan.pdf', type: '', size: 10_000_000, lastModified: 0 };
  return { id: 't1', peerId: 'bob', direction: 'receive', metadata, state: 'active', bytes: 0, rate: 0, ...rest };
}

function show(...transfers: FileTransfer[]): void {
  act(() => useCallStore.setState({ fileTransfers: new Map(transfers.map((each) => [each.id, each])) }));
}

const labels = () => [...page.querySelectorAll('.file button')].map((button) => button.getAttribute('aria-label'));
const press = (label: string) => act(() => page.querySelector<HTMLElement>(`[aria-label="${label}"]`)?.click());

beforeEach(() => {
  Reflect.set(globalThis, 'IS_REACT_ACT_ENVIRONMENT', true);
  called.length = 0;
  page = document.createElement('div');
  root = createRoot(page);
  const peers = new Map(['bob', 'cleo'].map((id) => [id, { id, name: id === 'bob' ? 'Bob' : 'Cleo' } as Peer]));
  useCallStore.setState({ peers, fileTransfers: new Map() });
  act(() => root.render(createElement(Files, { actions, onClose: () => void called.push(['close']) })));
});

afterEach(() => act(() => root.unmount()));

test.each<[FileTransfer['direction'], FileTransfer['state'], [string, string][]]>([
  [
    'receive',
    'offered',
    [
      ['Accept', 'accept'],
      ['Decline', 'decline'],
    ],
  ],
  ['send', 'offered', [['Cancel', 'cancel']]],
  [
    'send',
    'active',
    [
      ['Pause', 'pause'],
      ['Cancel', 'cancel'],
    ],
  ],
  [
    'receive',
    'paused',
    [
      ['Resume', 'resume'],
      ['Cancel', 'cancel'],
    ],
  ],
  [
    'receive',
    'done',
    [
      ['Save', 'save'],
      ['Remove', 'remove'],
    ],
  ],
  ['send', 'done', [['Remove', 'remove']]],
  ['send', 'failed', [['Remove', 'remove']]],
])('a file to %s that is %s has its actions', (direction, state, steps) => {
  show(transfer({ direction, state }));
  expect(labels()).toEqual(steps.map(([text]) => `${text} plan.pdf`));
  for (const [text] of steps) press(`${text} plan.pdf`);
  expect(called).toEqual(steps.map(([, name]) => [name, 't1']));
});

test('progress and rate are shown while bytes arrive, and the error of a failed file', () => {
  show(
    transfer({ bytes: 2_500_000, rate: 1_500_000 }),
    transfer({ id: 't2', state: 'failed', error: 'The sender left the room.' }),
  );
  const items = [...page.querySelectorAll('.file')];
  // The newest one is first.
  expect(items.map((item) => item.getAttribute('data-transfer'))).toEqual(['t2', 't1']);
  expect(items[0]?.textContent).toContain('The sender left the room.');
  expect(items[0]?.querySelector('progress')).toBe(null);
  const progress = items[1]?.querySelector('progress');
  expect([progress?.value, progress?.max]).toEqual([2_500_000, 10_000_000]);
  expect(progress?.getAttribute('aria-label')).toBe('Progress of plan.pdf');
  expect(items[1]?.textContent).toContain('2.5 MB of 10 MB, 1.5 MB/s, about 5 s');
});

test('files are dropped for everyone, or for the person who is chosen', () => {
  const file = new File(['x'], 'x.txt');
  const drop = () =>
    act(() => {
      const event = new Event('drop', { bubbles: true, cancelable: true });
      Reflect.set(event, 'dataTransfer', { files: [file] });
      page.querySelector('.drop')?.dispatchEvent(event);
      // The browser must not open the file.
      expect(event.defaultPrevented).toBe(true);
    });
  const select = page.querySelector('select') as HTMLSelectElement;
  expect([...select.options].map(({ text }) => text)).toEqual(['everyone', 'Bob', 'Cleo']);
  drop();
  act(() => {
    select.value = 'cleo';
    select.dispatchEvent(new Event('change', { bubbles: true }));
  });
  drop();
  // Cleo leaves.
  act(() => useCallStore.setState({ peers: new Map([['bob', { id: 'bob', name: 'Bob' } as Peer]]) }));
  drop();
  expect(called).toEqual([
    ['send', [file], null],
    ['send', [file], 'cleo'],
    ['send', [file], null],
  ]);
});

test('the texts', () => {
  const nameOf = (peerId: string) => peerId.toUpperCase();
  expect([0, 1, 999, 1_000, 9_960, 999_600, 1_234_567_890].map((bytes) => sizeText(t(), bytes))).toEqual([
    '0 bytes',
    '1 byte',
    '999 bytes',
    '1.0 kB',
    '10 kB',
    '1.0 MB',
    '1.2 GB',
  ]);
  expect([timeLeftText(t(), 10, 0), timeLeftText(t(), 1, 10), timeLeftText(t(), 600, 10), timeLeftText(t(), 72_000, 10)]).toEqual(
    ['', 'about 1 s', 'about 1 min', 'about 2 h'],
  );
  expect(progressText(t(), transfer({ bytes: 5 }))).toBe('5 bytes of 10 MB');
  expect(stateText(t(), transfer({ state: 'offered' }), nameOf)).toBe('BOB offers this file');
  expect(stateText(t(), transfer({ state: 'declined', direction: 'send', peerId: null }), nameOf)).toBe('Declined by everyone');
  // The text of the catalogue is preferred, because it is in the language of the user.
  expect(stateText(t(), transfer({ state: 'failed', error: 'x', errorCode: 'TIMEOUT' }), nameOf)).toBe(
    'The sender did not answer.',
  );
  expect(stateText(t(), transfer({ state: 'failed', error: 'x' }), nameOf)).toBe('x');
  expect(stateText(t(), transfer({ state: 'declined', errorCode: 'USER' }), nameOf)).toBe('Declined, from BOB');
  const receivers = [
    { peerId: 'a', state: 'done' as const, bytes: 1 },
    { peerId: 'b', state: 'declined' as const, bytes: 0 },
    { peerId: 'c', state: 'active' as const, bytes: 0 },
  ];
  expect(receiversText(t(), transfer({ receivers }), nameOf)).toBe('1 of 3 have it. B: declined');
});
