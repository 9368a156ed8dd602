import type { Task } from "@/lib/api";
import { describeDue } from "@/lib/values";
import { Bin, Calendar, Pencil } from "./icons";

interface Props {
  task: Task;
  onComplete: (completed: boolean) => void;
  onEdit: () => void;
  onDelete: () => void;
  onTag: (tag: string) => void;
}

export function TaskRow({ task, onComplete, onEdit, onDelete, onTag }: Props) {
  const due = task.due_date ? describeDue(task.due_date) : undefined;
  const isLate = due?.isOver && !task.completed;
  return (
    <li className={task.completed ? "task done" : "task"}>
      <input
        type="checkbox"
        id={`task-${task.id}`}
        checked={task.completed}
        onChange={(event) => onComplete(event.currentTarget.checked)}
      />
      <label htmlFor={`task-${task.id}`}>{task.title}</label>
      <button type="button" className="icon" onClick={onEdit} aria-label={`Edit ${task.title}`}>
        <Pencil />
      </button>
      <button type="button" className="icon" onClick={onDelete} aria-label={`Delete ${task.title}`}>
        <Bin />
      </button>
      <div className="about">
        {task.description && <p className="note">{task.description}</p>}
        <ul className="marks" aria-label={`About ${task.title}`} hidden={!due && !task.priority && !task.tags.length}>
          {task.priority && <li className={`priority ${task.priority}`}>{task.priority} priority</li>}
          {due && (
            <li className={isLate ? "due late" : "due"}>
              <Calendar />
              <time dateTime={task.due_date ?? ""}>{due.text}</time>
              {isLate && " (overdue)"}
            </li>
          )}
          {task.tags.map((tag) => (
            <li key={tag}>
              <button type="button" className="tag" onClick={() => onTag(tag)} aria-label={`Show tasks tagged ${tag}`}>
                #{tag}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </li>
  );
}
