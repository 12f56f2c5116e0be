import { afterEach, describe, expect, test, vi } from 'vitest';
import { type DeviceChange, type DeviceList, DeviceWatch, deviceChange, deviceListOf, playOn } from './devices';

const info = (kind: MediaDeviceKind, deviceId: string, label = deviceId) => ({ kind, deviceId, label });
const idsOf = ({ devices }: Pick<DeviceList, 'devices'>) => devices.map(({ id }) => id);
const idsIn = ({ added, removed }: DeviceChange) => ({ added: added.map(({ id }) => id), removed: removed.map(({ id }) => id) });

describe('the list', () => {
  test('has the devices by role, without those that stand for a selection of the system', () => {
    const list = deviceListOf([
      info('audioinput', 'default', 'Default - Headset'),
      info('audioinput', 'communications', 'Communications - Headset'),
      info('audioinput', 'headset', 'Headset'),
      info('videoinput', 'webcam', 'Webcam'),
      info('audiooutput', 'monitor', 'Monitor'),
    ]);
    expect(list.devices).toEqual([
      { id: 'headset', label: 'Headset', role: 'microphone' },
      { id: 'webcam', label: 'Webcam', role: 'camera' },
      { id: 'monitor', label: 'Monitor', role: 'speaker' },
    ]);
    expect([...list.hidden]).toEqual([]);
  });

  test('names the roles whose devices are hidden', () => {
    const list = deviceListOf([info('audioinput', ''), info('videoinput', ''), info('audiooutput', 'monitor')]);
    expect(idsOf(list)).toEqual(['monitor']);
    expect([...list.hidden]).toEqual(['microphone', 'camera']);
  });
});

describe('a change', () => {
  const one = deviceListOf([info('audioinput', 'built-in')]);
  const two = deviceListOf([info('audioinput', 'built-in'), info('audioinput', 'headset')]);

  test('has what was added and what was removed', () => {
    expect(idsIn(deviceChange(one, two))).toEqual({ added: ['headset'], removed: [] });
    expect(idsIn(deviceChange(two, one))).toEqual({ added: [], removed: ['headset'] });
    expect(idsIn(deviceChange(two, two))).toEqual({ added: [], removed: [] });
  });

  test('has the first device of its role', () => {
    expect(idsIn(deviceChange(deviceListOf([]), one))).toEqual({ added: ['built-in'], removed: [] });
  });

  test('does not take a permission that comes or goes for a device that does', () => {
    const hidden = deviceListOf([info('audioinput', '')]);
    expect(idsIn(deviceChange(hidden, two))).toEqual({ added: [], removed: [] });
    expect(idsIn(deviceChange(two, hidden))).toEqual({ added: [], removed: [] });
  });
});

describe('DeviceWatch', () => {
  afterEach(() => vi.unstubAllGlobals());

  test('reports the list at the start, and each change of it until it is stopped', async () => {
    const present = [info('audioinput', 'built-in')];
    const mediaDevices = Object.assign(new EventTarget(), { enumerateDevices: async () => [...present] });
    vi.stubGlobal('navigator', { mediaDevices });
    const reports: { ids: string[]; added: string[]; removed: string[] }[] = [];
    const watch = new DeviceWatch((list, change) => reports.push({ ids: idsOf(list), ...idsIn(change) }));
    watch.start();
    await vi.waitFor(() => expect(reports).toEqual([{ ids: ['built-in'], added: [], removed: [] }]));
    present.push(info('audioinput', 'headset'));
    mediaDevices.dispatchEvent(new Event('devicechange'));
    await vi.waitFor(() => expect(reports.at(-1)).toEqual({ ids: ['built-in', 'headset'], added: ['headset'], removed: [] }));
    present.shift();
    mediaDevices.dispatchEvent(new Event('devicechange'));
    await vi.waitFor(() => expect(reports.at(-1)).toEqual({ ids: ['headset'], added: [], removed: ['built-in'] }));
    watch.stop();
    mediaDevices.dispatchEvent(new Event('devicechange'));
    await watch.refresh();
    expect(reports).toHaveLength(4);
  });
});

describe('playOn', () => {
  test('changes the speaker of a player, once', async () => {
    const asked: string[] = [];
    const player = {
      sinkId: '',
      setSinkId: async (id: string) => {
        asked.push(id);
        player.sinkId = id;
      },
    };
    await playOn(player, 'monitor');
    await playOn(player, 'monitor');
    await playOn(player, null);
    expect(asked).toEqual(['monitor', '']);
  });

  test('needs no support for the speaker of the system, and names what is missing for another one', async () => {
    await playOn({}, null);
    await expect(playOn({}, 'monitor')).rejects.toMatchObject({ device: 'speaker', reason: 'unsupported' });
    const refuses = { setSinkId: () => Promise.reject(new DOMException('gone', 'NotFoundError')) };
    await expect(playOn(refuses, 'monitor')).rejects.toMatchObject({ device: 'speaker', reason: 'notFound' });
  });
});
