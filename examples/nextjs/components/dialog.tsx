"use client";

import { useEffect, type ReactNode, type RefObject } from "react";

interface Props {
  ref: RefObject<HTMLDialogElement | null>;
  title: string;
  onClose: () => void;
  children: ReactNode;
}

/** A native modal dialog. The browser traps the focus, restores it afterwards, and closes the dialog on Escape. */
export function Dialog({ ref, title, onClose, children }: Props) {
  useEffect(() => {
    if (!ref.current?.open) ref.current?.showModal();
  }, [ref]);
  return (
    <dialog ref={ref} onClose={onClose} aria-labelledby="dialog-title">
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}
