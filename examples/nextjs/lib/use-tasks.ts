"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import { ApiProblem, type Task, type TaskQuery, type TasksApi } from "./api";

const PAGE_SIZE = 20;
const RETRY_SECONDS = 3;

interface List {
  tasks?: Task[];
  next?: string;
  problem?: ApiProblem;
  isLoading: boolean;
}

export const toProblem = (error: unknown): ApiProblem =>
  error instanceof ApiProblem ? error : new ApiProblem(500, { code: "page_error" });

/** Loads the tasks of a query, page by page. Keeps the current list until a newer one arrives, even after an error. */
export function useTasks(api: TasksApi, query: TaskQuery) {
  const [list, setList] = useState<List>({ isLoading: true });
  const running = useRef<AbortController>(null);
  const shown = useRef(0);
  const key = JSON.stringify(query);

  const fetchPage = useCallback(
    async (query: TaskQuery | string, before: Task[] = []) => {
      running.current?.abort();
      const { signal } = (running.current = new AbortController());
      setList((list) => ({ ...list, isLoading: true }));
      try {
        const page = await api.page(query, { signal });
        const known = new Set(before.map(({ id }) => id));
        const tasks = [...before, ...page.tasks.filter(({ id }) => !known.has(id))];
        shown.current = tasks.length;
        setList({ tasks, next: page.next, isLoading: false });
      } catch (error) {
        if (!signal.aborted) setList((list) => ({ ...list, problem: toProblem(error), isLoading: false }));
      }
    },
    [api],
  );

  /** Fetches as many tasks as the list shows, in one request. */
  const reload = useCallback(() => {
    const limit = Math.min(1000, Math.max(PAGE_SIZE, shown.current));
    return fetchPage({ ...(JSON.parse(key) as TaskQuery), limit });
  }, [fetchPage, key]);

  useEffect(() => {
    shown.current = 0;
    void reload();
    return () => running.current?.abort();
  }, [reload]);

  useEffect(() => {
    const reloadIfVisible = () => document.visibilityState === "visible" && void reload();
    const events = ["online", "focus", "visibilitychange"];
    for (const event of events) addEventListener(event, reloadIfVisible);
    const seconds = Math.max(RETRY_SECONDS, list.problem?.retryAfter ?? 0);
    const timer = list.problem?.isTemporary ? setTimeout(reloadIfVisible, seconds * 1000) : undefined;
    return () => {
      for (const event of events) removeEventListener(event, reloadIfVisible);
      clearTimeout(timer);
    };
  }, [reload, list.problem]);

  return {
    ...list,
    reload,
    loadMore: () => list.next && fetchPage(list.next, list.tasks),
    /** Shows a changed task before the service confirms the change. */
    show: (task: Task) =>
      setList((list) => ({ ...list, tasks: list.tasks?.map((item) => (item.id === task.id ? task : item)) })),
  };
}
