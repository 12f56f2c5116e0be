// Line icons on a 24-unit grid. Always decorative: the surrounding control has the accessible name.

const paths = {
  microphone: ['M12 4a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3Z', 'M6 11.5a6 6 0 0 0 12 0', 'M12 17.5V21'],
  microphoneOff: [
    'M9 9v3a3 3 0 0 0 4.8 2.4',
    'M15 11.5V7a3 3 0 0 0-5.7-1.3',
    'M6 11.5a6 6 0 0 0 9.6 4.8',
    'M18 11.5c0 .9-.2 1.7-.5 2.5',
    'M12 17.5V21',
    'M4 4l16 16',
  ],
  camera: ['M4 7.5h8.5a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H4a1.5 1.5 0 0 1-1.5-1.5V9A1.5 1.5 0 0 1 4 7.5Z', 'm14.5 11 5-3v8l-5-3'],
  cameraOff: [
    'M9.5 7.5h3a2 2 0 0 1 2 2v3',
    'M14 15.7a2 2 0 0 1-1.5.8H4A1.5 1.5 0 0 1 2.5 15V9A1.5 1.5 0 0 1 4 7.5h2',
    'm14.5 11 5-3v8l-3-1.8',
    'M4 4l16 16',
  ],
  screen: [
    'M4 5h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Z',
    'M9 20h6',
    'M12 13V8.5',
    'm9.8 10.5 2.2-2.2 2.2 2.2',
  ],
  people: [
    'M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
    'M3.5 19a5.5 5.5 0 0 1 11 0',
    'M15.5 5.2a3 3 0 0 1 0 5.6',
    'M17 14a5.5 5.5 0 0 1 3.5 5',
  ],
  statistics: ['M5 19V11', 'M12 19V5', 'M19 19v-5'],
  files: [
    'M7 3.5h7l4 4V19a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 6 19V5',
    'M14 3.5v4h4',
    'M12 11v6',
    'm9.5 14.5 2.5 2.5 2.5-2.5',
  ],
  devices: [
    'M4.5 15v-3a7.5 7.5 0 0 1 15 0v3',
    'M4.5 14.5h2a1.5 1.5 0 0 1 1.5 1.5v2.5A1.5 1.5 0 0 1 6.5 20 2 2 0 0 1 4.5 18Z',
    'M19.5 14.5h-2a1.5 1.5 0 0 0-1.5 1.5v2.5a1.5 1.5 0 0 0 1.5 1.5 2 2 0 0 0 2-2Z',
  ],
  leave: ['M3.5 13.5c4.7-4.7 12.3-4.7 17 0l-2.3 2.6-3.4-1.5v-2.3a9.7 9.7 0 0 0-5.6 0v2.3l-3.4 1.5Z'],
  link: ['M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1', 'M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1'],
  lock: ['M7 11h10a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1Z', 'M8.5 11V8a3.5 3.5 0 0 1 7 0v3'],
  preferences: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z', 'M3 12h18', 'M12 3c3.3 3 3.3 15 0 18', 'M12 3c-3.3 3-3.3 15 0 18'],
  pin: ['M9 3.5h6l-.8 6 3.3 3v2h-11v-2l3.3-3Z', 'M12 14.5v6'],
  previous: ['m14.5 6-6 6 6 6'],
  next: ['m9.5 6 6 6-6 6'],
  gridLayout: ['M4 4.5h7v6.5H4Z', 'M13 4.5h7v6.5h-7Z', 'M4 13h7v6.5H4Z', 'M13 13h7v6.5h-7Z'],
  speakerLayout: ['M4 4.5h16v10H4Z', 'M4 17h4v2.5H4Z', 'M10 17h4v2.5h-4Z', 'M16 17h4v2.5h-4Z'],
  hand: [
    'M8 12V6a1.5 1.5 0 0 1 3 0v5',
    'M11 11V4.5a1.5 1.5 0 0 1 3 0V11',
    'M14 11V6a1.5 1.5 0 0 1 3 0v8.5a6 6 0 0 1-11 3.3L3.6 13.7a1.5 1.5 0 0 1 2.5-1.6L8 14.5',
  ],
  smile: ['M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17Z', 'M8.5 14.5a4.3 4.3 0 0 0 7 0', 'M9 9.5v.5', 'M15 9.5v.5'],
  chat: [
    'M5 5h14a1.5 1.5 0 0 1 1.5 1.5v8A1.5 1.5 0 0 1 19 16h-7l-4.5 4v-4H5a1.5 1.5 0 0 1-1.5-1.5v-8A1.5 1.5 0 0 1 5 5Z',
    'M8 9h8',
    'M8 12h5',
  ],
  close: ['M6 6l12 12', 'M18 6 6 18'],
  sound: ['M4 10v4h3.5L12 18V6L7.5 10Z', 'M15.5 9a4 4 0 0 1 0 6', 'M18 6.5a8 8 0 0 1 0 11'],
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {paths[name].map((d) => (
        <path key={d} d={d} />
      ))}
    </svg>
  );
}

/** The logo. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path d="M4 16h7c6 0 5-8 11-8h6" />
      <path d="M4 16h24" opacity=".7" />
      <path d="M4 16h7c6 0 5 8 11 8h6" opacity=".45" />
    </svg>
  );
}
