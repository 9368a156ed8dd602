"use client";

import { useEffect, useState } from "react";
import type { TaskQuery } from "@/lib/api";

const STATUSES = { all: "All", pending: "Pending", completed: "Completed" };
const PRIORITIES = { "": "Any priority", high: "High", medium: "Medium", low: "Low" };
const SORTS = { "": "Newest first", updated: "Last changed", due_date: "Due date", priority: "Priority", title: "Title" };
const TYPING_MILLISECONDS = 250;

interface Props {
  query: TaskQuery;
  onChange: (changes: TaskQuery) => void;
}

export function Filters({ query, onChange }: Props) {
  const [words, setWords] = useState(query.search ?? "");
  useEffect(() => setWords(query.search ?? ""), [query.search]);
  useEffect(() => {
    if (words === (query.search ?? "")) return;
    const timer = setTimeout(() => onChange({ search: words }), TYPING_MILLISECONDS);
    return () => clearTimeout(timer);
  });

  return (
    <search className="filters">
      <fieldset className="segments">
        <legend className="hidden">Show</legend>
        {Object.entries(STATUSES).map(([status, label]) => (
          <label key={status}>
            <input
              type="radio"
              name="status"
              checked={(query.status ?? "all") === status}
              onChange={() => onChange({ status: status === "all" ? undefined : (status as TaskQuery["status"]) })}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <input
        type="search"
        aria-label="Search"
        placeholder="Search"
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
      <Choice
        label="Priority"
        choices={PRIORITIES}
        value={query.priority}
        onChange={(priority) => onChange({ priority: priority as TaskQuery["priority"] })}
      />
      <Choice
        label="Sort by"
        choices={SORTS}
        value={query.sort}
        onChange={(sort) => onChange({ sort: sort as TaskQuery["sort"] })}
      />
      {query.tag?.map((tag) => (
        <button
          key={tag}
          type="button"
          className="tag chosen"
          aria-label={`No longer only tasks tagged ${tag}`}
          onClick={() => onChange({ tag: query.tag?.filter((other) => other !== tag) })}
        >
          #{tag} <span aria-hidden>×</span>
        </button>
      ))}
    </search>
  );
}

interface ChoiceProps {
  label: string;
  choices: Record<string, string>;
  value?: string;
  onChange: (value: string) => void;
}

function Choice({ label, choices, value = "", onChange }: ChoiceProps) {
  return (
    <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {Object.entries(choices).map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}
