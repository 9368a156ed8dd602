"use client";

import { useRef, useState, type FormEvent } from "react";
import { createKey, type ApiProblem, type Task, type TasksApi } from "@/lib/api";
import { toProblem } from "@/lib/use-tasks";
import { readValues, toNewTask } from "@/lib/values";
import { explain } from "@/lib/words";
import { DetailFields, TextField } from "./fields";
import { Problem } from "./problem";

export function NewTask({ api, onAdded }: { api: TasksApi; onAdded: (task: Task) => void }) {
  // Keeps the key while the task is the same, so that pressing "Add" again after an error creates no duplicate.
  const intent = useRef({ task: "", key: "" });
  const [problem, setProblem] = useState<ApiProblem>();
  const [isBusy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (isBusy) return;
    const form = event.currentTarget;
    const task = toNewTask(readValues(form));
    const text = JSON.stringify(task);
    if (intent.current.task !== text) intent.current = { task: text, key: createKey() };
    setBusy(true);
    try {
      const created = await api.create(task, { key: intent.current.key });
      intent.current = { task: "", key: "" };
      setProblem(undefined);
      form.reset();
      onAdded(created);
    } catch (error) {
      const problem = toProblem(error);
      if (problem.code === "idempotency_key_gone") intent.current = { task: "", key: "" };
      setProblem(problem);
    }
    setBusy(false);
    form.querySelector("input")?.focus();
  }

  // A title error appears at its input only. The other inputs may be collapsed, so repeat their errors below.
  const isAtTitle = problem?.errors.title !== undefined;
  return (
    <form onSubmit={(event) => void submit(event)} className="card new-task" aria-label="New task">
      <div className="row">
        <TextField id="new" name="title" label="New task" placeholder="What do you want to do?" errors={problem?.errors} />
        <button className="primary" aria-disabled={isBusy}>
          Add
        </button>
      </div>
      <details>
        <summary>Details</summary>
        <div className="fields">
          <DetailFields id="new" errors={problem?.errors} />
        </div>
      </details>
      {problem && !isAtTitle && <Problem title="The task was not added" detail={explain(problem)} />}
    </form>
  );
}
