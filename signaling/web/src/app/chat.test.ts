// @vitest-environment jsdom
import { act, createElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CallView, ChatMessage, Peer } from '../sdk';
import { useCallStore } from '../stores/useCallStore';
import { Chat } from './components/Chat';

let root: Root;
let page: HTMLElement;
const actions = { sendChat: vi.fn(() => true), retryChat: vi.fn(), setHand: vi.fn(), react: vi.fn() };

const message = (rest: Partial<ChatMessage>): ChatMessage => ({
  id: 'm1',
  from: 'bob',
  name: 'Bob',
  isOwn: false,
  to: null,
  toName: null,
  text: 'hello',
  at: 0,
  state: 'sent',
  error: null,
  ...rest,
});

const show = (...chat: ChatMessage[]) => act(() => useCallStore.setState({ call: { chat } as unknown as CallView }));

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  page = document.createElement('div');
  document.body.append(page);
  root = createRoot(page);
  useCallStore.setState({ peers: new Map([['bob', { id: 'bob', name: 'Bob' } as Peer]]) });
  show();
  act(() => root.render(createElement(Chat, { actions, onClose: vi.fn() })));
  actions.sendChat.mockClear();
});

afterEach(() => {
  act(() => root.unmount());
  page.remove();
});

const field = () => page.querySelector('textarea') as HTMLTextAreaElement;
function type(text: string): void {
  act(() => {
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value')?.set?.call(field(), text);
    field().dispatchEvent(new Event('input', { bubbles: true }));
  });
}
const press = (shiftKey = false) =>
  act(() => field().dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', shiftKey, bubbles: true, cancelable: true })));

test('a message is text: markup is shown as it was written, and only links with http are links', () => {
  show(message({ text: '<img src=x onerror=alert(1)> javascript:alert(1) https://leat.example/' }));
  const text = page.querySelector('.text');
  expect(text?.textContent).toBe('<img src=x onerror=alert(1)> javascript:alert(1) https://leat.example/');
  expect(text?.querySelector('img')).toBe(null);
  const links = [...(text?.querySelectorAll('a') ?? [])];
  expect(links.map((link) => [link.href, link.rel, link.target])).toEqual([
    ['https://leat.example/', 'noopener noreferrer nofollow', '_blank'],
  ]);
});

test('Enter sends to everyone or to one person, and Shift and Enter is a new line', () => {
  expect(document.activeElement).toBe(field());
  type('hi');
  press(true);
  expect(actions.sendChat).not.toHaveBeenCalled();
  press();
  expect(actions.sendChat).toHaveBeenLastCalledWith('hi', null);
  expect(field().value).toBe('');
  const select = page.querySelector('select') as HTMLSelectElement;
  act(() => {
    select.value = 'bob';
    select.dispatchEvent(new Event('change', { bubbles: true }));
  });
  type('psst');
  press();
  expect(actions.sendChat).toHaveBeenLastCalledWith('psst', 'bob');
  // Bob leaves: what was written to him must not go to all.
  type('still for you');
  act(() => useCallStore.setState({ peers: new Map() }));
  press();
  expect(actions.sendChat).toHaveBeenCalledTimes(2);
  expect(page.querySelector('[role="alert"]')?.textContent).toBe('This person has left. Select another receiver.');
});

test('a text that is too long is not sent, and the form says how long it may be', () => {
  type('x'.repeat(4_001));
  press();
  expect(actions.sendChat).not.toHaveBeenCalled();
  expect(page.querySelector('[role="alert"]')?.textContent).toContain('4,001 characters. At most 4,000');
  expect(field().value).toHaveLength(4_001);
});

test('a message that failed says why, and can be sent again', () => {
  show(message({ isOwn: true, state: 'failed', error: 'gone', to: 'bob', toName: 'Bob' }));
  expect(page.querySelector('.message')?.textContent).toContain('to Bob only');
  expect(page.querySelector('.message [role="alert"]')?.textContent).toContain('Not sent: gone');
  act(() => page.querySelector<HTMLElement>('.message .linkish')?.click());
  expect(actions.retryChat).toHaveBeenCalledWith('m1');
});
