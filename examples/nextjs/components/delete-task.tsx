"use client";

import { useRef, useState } from "react";
import type { ApiProblem, Task, TasksApi } from "@/lib/api";
import { toProblem } from "@/lib/use-tasks";
import { explain } from "@/lib/words";
import { Dialog } from "./dialog";
import { Problem } from "./problem";

interface Props {
  api: TasksApi;
  task: Task;
  onClose: () => void;
  onDeleted: (task: Task) => void;
}

export function DeleteTask({ api, task, onClose, onDeleted }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<ApiProblem>();

  async function remove() {
    try {
      await api.delete(task.id);
    } catch (error) {
      const problem = toProblem(error);
      if (problem.status !== 404) return setProblem(problem); // After a 404, the task is already deleted.
    }
    dialog.current?.close();
    onDeleted(task);
  }

  return (
    <Dialog ref={dialog} title="Delete this task?" onClose={onClose}>
      <p>
        “{task.title}” moves to the trash, where it stays for 30 days.
      </p>
      {problem && <Problem title="The task was not deleted" detail={explain(problem)} />}
      <div className="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Keep it
        </button>
        <button type="button" className="danger" onClick={() => void remove()}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}
