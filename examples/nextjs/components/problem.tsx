import type { ReactNode } from "react";

interface Props {
  title: string;
  detail: string;
  isTemporary?: boolean;
  onRetry?: () => void;
  children?: ReactNode;
}

/** What went wrong, read out as soon as it is there, and what can be done. */
export function Problem({ title, detail, isTemporary, onRetry, children }: Props) {
  return (
    <div role="alert" className="problem">
      <strong>{title}</strong>
      <p>
        {detail} {isTemporary && "It is tried again every few seconds."}
      </p>
      {children}
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
