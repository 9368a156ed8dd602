"use client";

import { useCallback, useEffect, useRef, useState, type FormEvent } from "react";
import type { ApiProblem, Task, TaskChanges, TasksApi } from "@/lib/api";
import { toProblem } from "@/lib/use-tasks";
import { findChanges, LABELS, readValues, toTexts, toValues, type Field, type Values } from "@/lib/values";
import { explain } from "@/lib/words";
import { Dialog } from "./dialog";
import { DetailFields, TextField } from "./fields";
import { Problem } from "./problem";

interface Props {
  api: TasksApi;
  id: number;
  onClose: () => void;
  onSaved: (task: Task) => void;
}

/** Edits a task in the version that was opened. If it has changed since, shows both versions and asks the user. */
export function EditTask({ api, id, onClose, onSaved }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [opened, setOpened] = useState<Task>();
  const [conflict, setConflict] = useState<{ theirs: Task; changes: TaskChanges }>();
  const [problem, setProblem] = useState<ApiProblem>();
  const [isBusy, setBusy] = useState(false);

  const open = useCallback(async () => {
    setProblem(undefined);
    await api.get(id).then(setOpened, (error: unknown) => setProblem(toProblem(error)));
  }, [api, id]);
  useEffect(() => void open(), [open]);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (!opened || isBusy) return;
    const changes = findChanges(opened, readValues(event.currentTarget));
    setBusy(true);
    setProblem(undefined);
    try {
      const { etag } = conflict?.theirs ?? opened;
      const saved = await api.update(id, changes, { etag });
      dialog.current?.close();
      onSaved(saved);
    } catch (error) {
      const problem = toProblem(error);
      // Fetch the current version. This fails with 404 if the task was deleted.
      if (problem.status === 412) await api.get(id).then((theirs) => setConflict({ theirs, changes }), (error: unknown) => setProblem(toProblem(error)));
      else setProblem(problem);
    }
    setBusy(false);
  }

  function takeTheirs() {
    setOpened(conflict?.theirs);
    setConflict(undefined);
  }

  const values = opened && toValues(opened);
  const isFields = Object.keys(problem?.errors ?? {}).length > 0;
  return (
    <Dialog ref={dialog} title="Edit task" onClose={onClose}>
      {!values && !problem && <p role="status">Loading…</p>}
      {values && (
        <form onSubmit={(event) => void submit(event)} className="fields" key={opened.etag}>
          <TextField id="edit" name="title" values={values} errors={problem?.errors} />
          <DetailFields id="edit" values={values} errors={problem?.errors} />
          {conflict && (
            <Conflict
              before={toTexts(opened)}
              theirs={toTexts(conflict.theirs)}
              mine={toTexts({ ...opened, ...conflict.changes } as Task)}
            />
          )}
          {problem && !isFields && <Problem title="The task was not saved" detail={explain(problem)} />}
          <div className="actions">
            {conflict && (
              <button type="button" onClick={takeTheirs}>
                Use theirs
              </button>
            )}
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button className="primary" aria-disabled={isBusy}>
              {conflict ? "Save mine" : "Save"}
            </button>
          </div>
        </form>
      )}
      {!values && problem && (
        <Problem title="The task cannot be shown" detail={explain(problem)} onRetry={() => void open()}>
          <button type="button" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </Problem>
      )}
    </Dialog>
  );
}

/** Shows the fields that another client changed, next to the user's own changes. */
function Conflict({ before, theirs, mine }: { before: Values; theirs: Values; mine: Values }) {
  const changed = (Object.keys(LABELS) as Field[]).filter((name) => theirs[name] !== before[name]);
  return (
    <div role="alert" className="problem conflict">
      <strong>This task was changed meanwhile</strong>
      <p>What you wrote is still here. Save it over these changes, or use theirs instead.</p>
      <dl>
        {changed.map((name) => (
          <div key={name}>
            <dt>{LABELS[name]}</dt>
            <dd>
              now <b>{theirs[name] || "empty"}</b>
              {mine[name] !== before[name] && mine[name] !== theirs[name] && (
                <>
                  , yours <b>{mine[name] || "empty"}</b>
                </>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
