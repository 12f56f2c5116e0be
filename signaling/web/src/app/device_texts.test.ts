import { describe, expect, test } from 'vitest';
import { DeviceError } from '../sdk';
import { browserFamily } from './browser';
import { deviceEventText, deviceFailureText } from './device_texts';
import { catalogues } from './i18n';

const { en, de } = catalogues;
const camera = (reason: DeviceError['reason']) => new DeviceError('camera', reason);
const microphone = (reason: DeviceError['reason']) => new DeviceError('microphone', reason);

test.each([
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36', 'chromium'],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', 'firefox'],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/604.1',
    'safari',
  ],
  ['something else', 'other'],
])('%s', (userAgent, family) => {
  expect(browserFamily(userAgent)).toBe(family);
});

describe('a missing device', () => {
  test.each([
    ['chromium', 'the icon to the left of the address'],
    ['firefox', 'the crossed-out camera icon in the address bar'],
    ['safari', 'Settings for this website'],
    ['other', 'the icon in the address bar'],
  ] as const)('that is blocked says what to do in %s', (browser, words) => {
    const text = deviceFailureText(en, [camera('blocked')], browser);
    expect(text).toMatch(/^Your camera is blocked for this page\./);
    expect(text).toContain(words);
    expect(text).toContain('press the camera button');
  });

  test('shares a sentence with another one that is blocked, and not with one that is missing for another reason', () => {
    expect(deviceFailureText(en, [microphone('blocked'), camera('blocked')], 'other')).toMatch(
      /^Your camera and microphone are blocked/,
    );
    const both = deviceFailureText(en, [microphone('notFound'), camera('inUse')], 'other');
    expect(both).toMatch(/^Your camera could not be read: another program .* No microphone was found\. Plug one in\./);
    expect(deviceFailureText(en, [microphone('notFound'), camera('notFound')], 'other')).toMatch(
      /^No camera was found.*No microphone was found/,
    );
  });

  test('has words for every reason in every language', () => {
    for (const catalogue of [en, de]) {
      for (const [reason, words] of Object.entries(catalogue.devices.failures)) {
        expect(words(['camera'], 'chromium').length, reason).toBeGreaterThan(20);
      }
    }
  });
});

test('devices that come and go are named', () => {
  const headset = { id: 'h', label: 'Headset', role: 'microphone' } as const;
  const text = (event: Parameters<typeof deviceEventText>[1]) => deviceEventText(en, event, 'other');
  expect(text({ on: 'removed', role: 'microphone', label: 'Headset', now: 'Built-in' })).toBe(
    'Headset was removed. Built-in is used now.',
  );
  expect(text({ on: 'removed', role: 'camera', label: '', now: null })).toBe('Your camera was removed.');
  expect(text({ on: 'added', devices: [headset, { ...headset, role: 'speaker' }] })).toBe('Headset is connected.');
});
