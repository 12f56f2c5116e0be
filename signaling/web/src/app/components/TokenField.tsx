import { useT } from '../i18n';

interface TokenFieldProps {
  label: string;
  value: string;
  onChange(value: string): void;
}

/** The field for a token. Browsers neither remember nor correct it. */
export function TokenField({ label, value, onChange }: TokenFieldProps) {
  const t = useT();
  return (
    <label>
      <span>{label}</span>
      <input
        name="token"
        value={value}
        onChange={(event) => onChange(event.target.value)}
        autoComplete="off"
        spellCheck={false}
        placeholder={t.join.tokenHint}
      />
    </label>
  );
}
