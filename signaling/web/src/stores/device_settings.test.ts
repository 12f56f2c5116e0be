import { afterEach, expect, test, vi } from 'vitest';
import { loadDeviceSettings, saveDeviceSettings } from './device_settings';

const none = { choices: { microphone: null, camera: null, speaker: null }, audioOnly: false };

afterEach(() => vi.unstubAllGlobals());

test('choices are read as they were saved', () => {
  const kept = new Map<string, string>();
  const localStorage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  };
  vi.stubGlobal('localStorage', localStorage);
  expect(loadDeviceSettings()).toEqual(none);
  const settings = { choices: { microphone: 'headset', camera: null, speaker: 'monitor' }, audioOnly: true };
  saveDeviceSettings(settings);
  expect(loadDeviceSettings()).toEqual(settings);
});

test.each(['', 'null', '[]', '7', '{"microphone":7,"audioOnly":"yes"}', '{'])('%j counts as no choice', (text) => {
  expect(loadDeviceSettings(text)).toEqual(none);
});

test('a storage that is switched off does not fail', () => {
  const refuse = () => {
    throw new DOMException('off', 'SecurityError');
  };
  vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
  saveDeviceSettings(none);
  expect(loadDeviceSettings()).toEqual(none);
});
