// @vitest-environment jsdom
import { beforeEach, expect, test, vi } from 'vitest';
import { currentCall, useCallStore } from '../stores/useCallStore';
import { fileActions } from './file_actions';
import { t } from './i18n';
import { noticeText } from './notice_texts';

const files = { send: vi.fn(), result: vi.fn(), accept: vi.fn() };

vi.mock('../stores/useCallStore', async (real) => ({
  ...(await real<typeof import('../stores/useCallStore')>()),
  currentCall: vi.fn(),
}));

beforeEach(() => {
  vi.mocked(currentCall).mockReturnValue({ files } as unknown as ReturnType<typeof currentCall>);
  useCallStore.setState({ notices: [] });
});

const texts = () => useCallStore.getState().notices.map(({ content }) => noticeText(t(), content));

test('each chosen file is offered, and the user reads why one is not', async () => {
  files.send.mockImplementationOnce(() => {
    throw new Error('No other person is in the room.');
  });
  const [one, two] = [new File(['1'], 'one'), new File(['2'], 'two')];
  fileActions.send([one, two], 'bob');
  expect(files.send.mock.calls).toEqual([
    [one, 'bob'],
    [two, 'bob'],
  ]);
  await vi.waitFor(() => expect(texts()).toEqual(['No other person is in the room.']));
});

test('a refusal that comes later is shown, too', async () => {
  files.accept.mockRejectedValueOnce(new Error('You may not send data in this room.'));
  fileActions.accept('t1');
  await vi.waitFor(() => expect(texts()).toEqual(['You may not send data in this room.']));
});

test('a received file is downloaded under its name, and one without content is not', () => {
  const clicked: [string, string][] = [];
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push([this.download, this.href]);
  });
  URL.createObjectURL = () => 'blob:made';
  URL.revokeObjectURL = vi.fn();
  vi.useFakeTimers();
  files.result.mockReturnValueOnce(null);
  fileActions.save('t1');
  files.result.mockReturnValueOnce(new File(['1'], 'plan.pdf'));
  fileActions.save('t2');
  expect(clicked).toEqual([['plan.pdf', 'blob:made']]);
  expect(URL.revokeObjectURL).not.toHaveBeenCalled();
  vi.runAllTimers();
  expect(URL.revokeObjectURL).toHaveBeenCalledWith('blob:made');
  vi.useRealTimers();
});

test('without a call nothing happens', () => {
  vi.mocked(currentCall).mockReturnValue(null);
  files.send.mockClear();
  fileActions.send([new File(['1'], 'one')], null);
  expect(files.send).not.toHaveBeenCalled();
});
