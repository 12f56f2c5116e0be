import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SignalError } from './errors';
import type { Action } from './sync';
import { backoffMs, FAILURES_BEFORE_NOTICE, type Verdict, Work } from './work';

const action: Action = { do: 'closeProducer', key: 'camera' };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function work(perform: () => Promise<void>, verdict: Verdict = 'retry') {
  const events = { onChange: vi.fn(), onFailed: vi.fn(() => verdict), onStuck: vi.fn() };
  return { work: new Work(perform, events), ...events };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

test('pauses double up to a bound', () => {
  expect([1, 2, 3, 4, 5, 6, 100].map(backoffMs)).toEqual([300, 600, 1_200, 2_400, 4_800, 5_000, 5_000]);
});

test('an action of a name runs once at a time', async () => {
  let finish: () => void = () => undefined;
  const perform = vi.fn(() => new Promise<void>((done) => (finish = done)));
  const { work: running, onChange } = work(perform);
  running.start(action);
  running.start(action);
  expect(perform).toHaveBeenCalledTimes(1);
  expect(running.idle).toBe(false);
  finish();
  await settled();
  expect(onChange).toHaveBeenCalledTimes(1);
  expect(running.idle).toBe(true);
});

test('a failed action waits, for the longer of its own pause and the server’s', async () => {
  const error = new SignalError({ code: 0, message: '', retryAfterMs: 450 });
  const { work: running, onChange } = work(() => Promise.reject(error));
  running.start(action);
  await vi.advanceTimersByTimeAsync(449);
  expect([running.idle, onChange.mock.calls.length]).toEqual([false, 0]);
  await vi.advanceTimersByTimeAsync(1);
  expect([running.idle, onChange.mock.calls.length]).toEqual([true, 1]);
});

test('the user reads about failures in a row once', async () => {
  const { work: running, onStuck } = work(() => Promise.reject(new Error('no')));
  for (let round = 1; round <= FAILURES_BEFORE_NOTICE + 2; round += 1) {
    running.start(action);
    await settled();
    expect(onStuck).toHaveBeenCalledTimes(round < FAILURES_BEFORE_NOTICE ? 0 : 1);
    await vi.advanceTimersByTimeAsync(backoffMs(round));
  }
});

test('an action that is settled leads to a new comparison at once, one that is stopped to none', async () => {
  for (const [verdict, changes] of [
    ['settled', 1],
    ['stop', 0],
  ] as const) {
    const { work: running, onChange } = work(() => Promise.reject(new Error('no')), verdict);
    running.start(action);
    await vi.runAllTimersAsync();
    expect(onChange).toHaveBeenCalledTimes(changes);
  }
});

test('after a close, failures and pauses have no effect', async () => {
  const { work: running, onChange, onFailed } = work(() => Promise.reject(new Error('no')));
  running.start(action);
  await settled();
  running.close();
  running.start({ do: 'closeProducer', key: 'screen' });
  await vi.runAllTimersAsync();
  expect(onChange).not.toHaveBeenCalled();
  expect(onFailed).toHaveBeenCalledTimes(1);
});
