// The family of the browser, for instructions where to click. Pure.

export type BrowserFamily = 'chromium' | 'firefox' | 'safari' | 'other';

export function browserFamily(userAgent: string): BrowserFamily {
  if (/Firefox|FxiOS/.test(userAgent)) return 'firefox';
  // Chromium also names Safari.
  if (/Chrome|Chromium|CriOS/.test(userAgent)) return 'chromium';
  return /Safari/.test(userAgent) ? 'safari' : 'other';
}
