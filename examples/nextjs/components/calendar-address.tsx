"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import type { ApiProblem } from "@/lib/api";
import { createAddress, findAddress, removeAddress } from "@/lib/calendar";
import { toProblem } from "@/lib/use-tasks";
import { explain } from "@/lib/words";
import { Dialog } from "./dialog";
import { Problem } from "./problem";

interface State {
  /** When the address was created and read; null if there is none. */
  known?: Awaited<ReturnType<typeof findAddress>> | null;
  /** The address itself, directly after its creation. */
  address?: string;
  problem?: ApiProblem;
}

/** Creates, shows and removes the address at which calendar programs read the user's tasks. */
export function CalendarAddress({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [{ known, address, problem }, setState] = useState<State>({});

  const run = useCallback(async (action: () => Promise<State>) => {
    setState({});
    setState(await action().catch((error: unknown) => ({ problem: toProblem(error) })));
  }, []);
  const load = useCallback(() => void run(async () => ({ known: (await findAddress()) ?? null })), [run]);
  const create = () => void run(async () => ({ address: await createAddress() }));
  const remove = () => void run(async () => (await removeAddress(), { known: null }));
  useEffect(load, [load]);

  return (
    <Dialog ref={dialog} title="Tasks in your calendar" onClose={onClose}>
      <div className="fields">
        <p>Calendars can read your open tasks with a due date at an address. Anyone who has the address can read them.</p>
        {known === undefined && !address && !problem && <p role="status">Loading…</p>}
        {known && (
          <p>
            Your address was created on {known.created.toLocaleDateString()}.{" "}
            {known.read ? `It was last read on ${known.read.toLocaleString()}.` : "It has not been read yet."} It cannot be shown
            again; a new address replaces it.
          </p>
        )}
        {address && <NewAddress address={address} />}
        {problem && <Problem title="The address cannot be shown" detail={explain(problem)} onRetry={load} />}
      </div>
      <div className="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
        {(known || address) && (
          <button type="button" className="danger" onClick={remove}>
            Remove address
          </button>
        )}
        {known !== undefined && (
          <button type="button" className="primary" autoFocus={!known} onClick={create}>
            {known ? "New address" : "Create address"}
          </button>
        )}
      </div>
    </Dialog>
  );
}

function NewAddress({ address }: { address: string }) {
  const input = useRef<HTMLInputElement>(null);
  const [message, setMessage] = useState("");
  useEffect(() => input.current?.select(), []);

  async function copy() {
    // Browsers have no clipboard on pages without TLS, except on localhost.
    const isCopied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    if (!isCopied) input.current?.select();
    setMessage(isCopied ? "The address is copied." : "The address is selected. Copy it with the keyboard.");
  }

  return (
    <>
      <div className="row">
        <div className="field">
          <label htmlFor="calendar-address">Address</label>
          <input ref={input} id="calendar-address" value={address} readOnly autoFocus />
        </div>
        <button type="button" onClick={() => void copy()}>
          Copy
        </button>
      </div>
      <p>
        Copy it now, because it is shown only once. Then subscribe to it in your calendar, or{" "}
        <a href={address.replace(/^https?/, "webcal")}>open a calendar program</a>.
      </p>
      <p role="status" className={message ? undefined : "hidden"}>
        {message}
      </p>
    </>
  );
}
