import { useState } from 'react';
import { useCallStore } from '../../stores/useCallStore';
import { conversationActions, REACTIONS } from '../conversation_actions';
import { useT } from '../i18n';
import { Control } from './Control';
import { Icon } from './Icon';

/** Raises the hand of the user, and shows an emoji to all. */
export function Reactions() {
  const t = useT();
  const isRaised = useCallStore(({ call }) => call?.hands.includes(call.peerId) ?? false);
  const [isOpen, setOpen] = useState(false);
  const hand = isRaised ? t.conversation.lowerHand : t.conversation.raiseHand;
  return (
    <>
      <Control
        icon="hand"
        label={hand}
        shortcut="H"
        tone={isRaised ? 'on' : undefined}
        pressed={isRaised}
        onClick={() => conversationActions.setHand(!isRaised)}
      />
      {/* biome-ignore lint/a11y/noStaticElementInteractions: Escape closes the menu from each of its buttons */}
      <div
        className="reactionmenu"
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || !isOpen) return;
          event.stopPropagation();
          setOpen(false);
        }}
      >
        <button
          type="button"
          className={`control ${isOpen ? 'on' : ''}`}
          aria-label={t.conversation.react}
          aria-expanded={isOpen}
          title={t.conversation.react}
          onClick={() => setOpen(!isOpen)}
        >
          <Icon name="smile" />
        </button>
        {isOpen && (
          <fieldset className="choices" aria-label={t.conversation.reactions}>
            {REACTIONS.map((emoji) => (
              <button
                key={emoji}
                type="button"
                className="plain"
                aria-label={t.conversation.reactWith(emoji)}
                onClick={() => {
                  conversationActions.react(emoji);
                  setOpen(false);
                }}
              >
                {emoji}
              </button>
            ))}
          </fieldset>
        )}
      </div>
    </>
  );
}
