"use client";

import { useRef, useState } from "react";
import { ApiProblem, createKey, type TasksApi } from "./api";
import { makeSamples } from "./samples";

/** Adds the sample tasks. `progress` is the part that is done, from 0 to 1, while they are being added. */
export function useSamples(api: TasksApi) {
  const [progress, setProgress] = useState<number>();
  // Keeps the tasks and their keys until all are added, so that a second attempt creates none of them again.
  const samples = useRef<{ task: ReturnType<typeof makeSamples>[number]; key: string }[]>([]);
  const isRunning = useRef(false);

  /** Returns the number of tasks; undefined if they are already being added. Throws an ApiProblem if one is not added. */
  async function add(): Promise<number | undefined> {
    if (isRunning.current) return undefined;
    isRunning.current = true;
    if (!samples.current.length) samples.current = makeSamples().map((task) => ({ task, key: createKey() }));
    const { length } = samples.current;
    try {
      for (const [done, { task, key }] of samples.current.entries()) {
        setProgress(done / length);
        await api.create(task, { key }).catch((error: unknown) => {
          // An earlier attempt added the task, and the user has deleted it since.
          if (!(error instanceof ApiProblem && error.code === "idempotency_key_gone")) throw error;
        });
      }
      samples.current = [];
      return length;
    } finally {
      isRunning.current = false;
      setProgress(undefined);
    }
  }

  return { add, progress };
}
