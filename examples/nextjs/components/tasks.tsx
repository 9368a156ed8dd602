"use client";

import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, useMemo, useRef, useState } from "react";
import { createTasksApi, toSearch, type ApiProblem, type Task, type TaskQuery } from "@/lib/api";
import { authClient, createTokenGetter } from "@/lib/auth-client";
import { useSamples } from "@/lib/use-samples";
import { toProblem, useTasks } from "@/lib/use-tasks";
import { explain } from "@/lib/words";
import { CalendarAddress } from "./calendar-address";
import { DeleteTask } from "./delete-task";
import { EditTask } from "./edit-task";
import { Filters } from "./filters";
import { Calendar, Clipboard, Mark } from "./icons";
import { NewTask } from "./new-task";
import { Problem } from "./problem";
import { TaskRow } from "./task-row";

const MESSAGE_MILLISECONDS = 5000;

interface Props {
  user: { id: string; name: string };
  apiUrl: string;
}

export function Tasks({ user, apiUrl }: Props) {
  const api = useMemo(
    () => createTasksApi({ baseUrl: apiUrl, getToken: createTokenGetter(user.id), maxWait: 2 }),
    [apiUrl, user.id],
  );
  const [query, changeQuery] = useQuery();
  const list = useTasks(api, query);
  const samples = useSamples(api);
  const [dialog, setDialog] = useState<{ kind: "edit" | "delete"; task: Task } | { kind: "calendar" }>();
  const [failure, setFailure] = useState<{ title: string; problem: ApiProblem; again: () => void }>();
  const [message, setMessage] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  useSameUser(user.id);

  useEffect(() => {
    const timer = setTimeout(() => setMessage(""), MESSAGE_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [message]);

  // If the focused row was removed, focus the list's heading. Otherwise the Tab key starts at the top of the page.
  useEffect(() => {
    if (message && document.activeElement === document.body) heading.current?.focus();
  }, [list.tasks, message]);

  function finish(verb: string, task: Task) {
    setMessage(`${verb} “${task.title}”.`);
    void list.reload();
  }

  async function complete(task: Task, completed: boolean) {
    setFailure(undefined);
    list.show({ ...task, completed });
    try {
      await api.complete(task.id, completed);
      finish(completed ? "Completed" : "Reopened", task);
    } catch (error) {
      list.show(task);
      const title = `“${task.title}” was not ${completed ? "completed" : "reopened"}`;
      setFailure({ title, problem: toProblem(error), again: () => void complete(task, completed) });
    }
  }

  async function addSamples() {
    setFailure(undefined);
    try {
      const number = await samples.add();
      if (number === undefined) return;
      setMessage(`Added ${number} sample tasks.`);
    } catch (error) {
      setFailure({ title: "Not all sample tasks were added", problem: toProblem(error), again: () => void addSamples() });
    }
    void list.reload();
  }

  async function signOut() {
    await authClient.signOut();
    location.assign("/"); // A full page load removes the user's data from memory.
  }

  const { sort: _, ...filters } = query;
  const isFiltered = Object.values(filters).some(Boolean);
  return (
    <>
      <header>
        <Mark />
        <h1>Tasks</h1>
        <span className="muted">{user.name}</span>
        <button type="button" className="icon" aria-label="Calendar" title="Calendar" onClick={() => setDialog({ kind: "calendar" })}>
          <Calendar size={20} />
        </button>
        <button type="button" className="quiet" onClick={() => void signOut()}>
          Sign out
        </button>
      </header>
      <main>
        <NewTask api={api} onAdded={(task) => finish("Added", task)} />
        <Filters query={query} onChange={changeQuery} />
        {failure && <Problem title={failure.title} detail={explain(failure.problem)} onRetry={failure.again} />}
        {list.problem && (
          <Problem
            title={list.tasks ? "The list may be out of date" : "Your tasks cannot be shown"}
            detail={explain(list.problem)}
            isTemporary={list.problem.isTemporary}
            onRetry={() => void list.reload()}
          >
            {!list.tasks && Object.keys(query).length > 0 && (
              <button type="button" onClick={() => changeQuery(undefined)}>
                Show all tasks
              </button>
            )}
          </Problem>
        )}
        <h2 ref={heading} tabIndex={-1} className="hidden">
          Your tasks
        </h2>
        {!list.tasks && list.isLoading && <Skeleton />}
        {list.tasks && list.tasks.length > 0 && (
          <ul className="card list" aria-busy={list.isLoading}>
            {list.tasks.map((task) => (
              <TaskRow
                key={task.id}
                task={task}
                onComplete={(completed) => void complete(task, completed)}
                onEdit={() => setDialog({ kind: "edit", task })}
                onDelete={() => setDialog({ kind: "delete", task })}
                onTag={(tag) => changeQuery({ tag: [...new Set([...(query.tag ?? []), tag])] })}
              />
            ))}
          </ul>
        )}
        {list.tasks?.length === 0 && (
          <div className="empty">
            <Clipboard />
            <p>{isFiltered ? "No task is like that." : "Nothing to do yet. What is first?"}</p>
            {isFiltered ? (
              <button type="button" onClick={() => changeQuery(undefined)}>
                Show all tasks
              </button>
            ) : (
              <button type="button" aria-disabled={samples.progress !== undefined} onClick={() => void addSamples()}>
                Add sample tasks
              </button>
            )}
            {samples.progress !== undefined && <progress value={samples.progress} aria-label="Adding sample tasks" />}
          </div>
        )}
        {list.next && (
          <button type="button" className="more" aria-disabled={list.isLoading} onClick={() => void list.loadMore()}>
            Load more
          </button>
        )}
      </main>
      <p role="status" className={message ? "toast" : "hidden"}>
        {message}
      </p>
      {dialog?.kind === "calendar" && <CalendarAddress onClose={() => setDialog(undefined)} />}
      {dialog?.kind === "edit" && (
        <EditTask api={api} id={dialog.task.id} onClose={() => setDialog(undefined)} onSaved={(task) => finish("Saved", task)} />
      )}
      {dialog?.kind === "delete" && (
        <DeleteTask api={api} task={dialog.task} onClose={() => setDialog(undefined)} onDeleted={(task) => finish("Deleted", task)} />
      )}
    </>
  );
}

function Skeleton() {
  return (
    <div role="status" className="card list skeleton">
      <span className="hidden">Loading your tasks…</span>
      <i />
      <i />
      <i />
    </div>
  );
}

const PARAMETERS: (keyof TaskQuery)[] = ["status", "priority", "tag", "search", "sort"];

/** Keeps the query in the page's URL, so that it survives a reload. Changing it to undefined shows all tasks. */
function useQuery(): [TaskQuery, (changes?: TaskQuery) => void] {
  const params = useSearchParams();
  const names = PARAMETERS.filter((name) => params.has(name));
  const query = Object.fromEntries(names.map((name) => [name, name === "tag" ? params.getAll(name) : params.get(name)])) as TaskQuery;
  const change = (changes?: TaskQuery) =>
    history.replaceState(null, "", changes ? toSearch({ ...query, ...changes }) || location.pathname : location.pathname);
  return [query, change];
}

/** Refreshes the page when another tab signs out or signs in as another user. */
function useSameUser(userId: string) {
  const router = useRouter();
  const { data, error, isPending } = authClient.useSession();
  const isAnother = !isPending && !error && data?.user.id !== userId;
  useEffect(() => {
    if (isAnother) router.refresh();
  }, [isAnother, router]);
}
