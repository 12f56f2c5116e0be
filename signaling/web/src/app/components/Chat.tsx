// The messages of this call, and the form for the next one.

import { useEffect, useId, useRef, useState } from 'react';
import { CHAT_LENGTH_MAX, type ChatMessage } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import type { ConversationActions } from '../conversation_actions';
import { useLanguage, useT } from '../i18n';
import { partsOf } from '../links';
import { Panel } from './Panel';

/** From this length on, the number of characters is shown. */
const COUNT_FROM = CHAT_LENGTH_MAX - 500;

function Text({ text }: { text: string }) {
  return (
    <p className="text" dir="auto">
      {partsOf(text).map(({ text, href }, index) =>
        href ? (
          // The order of the parts of a text does not change.
          // biome-ignore lint/suspicious/noArrayIndexKey: see above
          <a key={index} href={href} target="_blank" rel="noopener noreferrer nofollow">
            {text}
          </a>
        ) : (
          text
        ),
      )}
    </p>
  );
}

function Message({ message, onRetry }: { message: ChatMessage; onRetry(id: string): void }) {
  const t = useT();
  const language = useLanguage();
  const { id, name, isOwn, toName, at, state, error } = message;
  const author = isOwn ? t.common.you : name;
  return (
    <li className={`message ${isOwn ? 'own' : ''} ${state}`} data-message={id}>
      <span className="note">
        <strong>{author}</strong>
        {toName !== null && <span className="private">{isOwn ? t.chat.onlyTo(toName) : t.chat.onlyToYou}</span>}
        <time dateTime={new Date(at).toISOString()}>
          {new Date(at).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' })}
        </time>
      </span>
      <Text text={message.text} />
      {state === 'failed' && (
        <span className="note" role="alert">
          {t.chat.failed(error ?? '')}
          <button type="button" className="linkish" onClick={() => onRetry(id)}>
            {t.chat.retry}
          </button>
        </span>
      )}
    </li>
  );
}

function ChatForm({ onSend }: { onSend: ConversationActions['sendChat'] }) {
  const t = useT();
  const ids = { text: useId(), to: useId(), problem: useId() };
  const peers = useCallStore((state) => state.peers);
  const [text, setText] = useState('');
  const [wanted, setTo] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  // A message to one person must not go to everyone because that person left.
  const isGone = wanted !== '' && !peers.has(wanted);
  const { length } = text.trim();
  const isTooLong = length > CHAT_LENGTH_MAX;
  const problem = isGone ? t.chat.receiverLeft : isTooLong ? t.chat.tooLong(length, CHAT_LENGTH_MAX) : null;

  const submit = () => {
    if (length === 0 || problem) return;
    if (onSend(text, wanted || null)) setText('');
    field.current?.focus();
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label htmlFor={ids.to}>{t.chat.to}</label>
      <select id={ids.to} value={wanted} onChange={(event) => setTo(event.target.value)}>
        <option value="">{t.chat.everyone}</option>
        {isGone && <option value={wanted}>{t.chat.left}</option>}
        {[...peers.values()].map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <label htmlFor={ids.text}>{t.chat.message}</label>
      <textarea
        id={ids.text}
        ref={field}
        rows={2}
        value={text}
        aria-invalid={problem !== null}
        aria-describedby={ids.problem}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          // While a character is composed (IME), Enter selects it.
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          submit();
        }}
      />
      <span id={ids.problem} className="problem" role={problem ? 'alert' : undefined}>
        {problem ?? (length > COUNT_FROM ? t.chat.length(length, CHAT_LENGTH_MAX) : '')}
      </span>
      <button type="submit" className="action good" disabled={length === 0 || problem !== null}>
        {t.chat.send}
      </button>
    </form>
  );
}

export function Chat({ actions, onClose }: { actions: ConversationActions; onClose(): void }) {
  const t = useT();
  const messages = useCallStore((state) => state.call?.chat);
  const end = useRef<HTMLDivElement>(null);
  const last = messages?.at(-1)?.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list follows its last message
  useEffect(() => {
    // Some browsers return a promise, which is no cleanup of an effect.
    void end.current?.scrollIntoView?.({ block: 'nearest' });
  }, [last]);
  return (
    <Panel title={t.chat.title} className="chat" onClose={onClose}>
      {messages?.length === 0 && <p className="note">{t.chat.empty}</p>}
      {/* The keyboard scrolls what has the focus. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: see above */}
      <div className="messages" role="log" aria-label={t.chat.messages} tabIndex={0}>
        <ol>
          {messages?.map((message) => (
            <Message key={message.id} message={message} onRetry={actions.retryChat} />
          ))}
        </ol>
        <div ref={end} />
      </div>
      <ChatForm onSend={actions.sendChat} />
    </Panel>
  );
}
