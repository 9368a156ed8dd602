import type { ReactNode } from "react";

interface Props {
  title: string;
  detail: string;
  isTemporary?: boolean;
  onRetry?: () => void;
  children?: ReactNode;
}

/** An error message with possible actions. Screen readers announce it when it appears. */
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
