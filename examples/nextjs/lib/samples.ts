// Sample tasks around the user's today, for an empty list.

import type { NewTask } from "./api";
import { toDay } from "./values";

/** Makes the sample tasks. The last one is the newest, which an unsorted list shows first. */
export function makeSamples(now = new Date()): NewTask[] {
  const at = (days: number, hours = 0, minutes = 0) =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hours, minutes).toISOString();
  const day = (days: number) => toDay(at(days));
  return [
    { title: "Water the plants", due_date: day(-1), tags: ["home"], completed: true },
    { title: "Try the new ramen place", description: "Ask Sam to come along." },
    { title: "Sort the photos of last summer", priority: "low", tags: ["family"] },
    { title: "Find a present for Mia's birthday", due_date: day(13), tags: ["family", "shopping"] },
    { title: "Book the train to Lisbon", description: "Window seat.", due_date: day(8), priority: "medium", tags: ["travel"] },
    {
      title: "Prepare the quarterly presentation",
      description: "Ten minutes. Begin with the customers' quotes.",
      due_date: day(6),
      priority: "high",
      tags: ["work"],
    },
    { title: "Team meeting", due_date: at(1, 9, 30), tags: ["work"] },
    { title: "Return the library books", due_date: day(1), priority: "low", tags: ["errand"] },
    { title: "Call the dentist", due_date: day(0), priority: "medium", tags: ["health"] },
    { title: "Buy groceries", description: "Milk, bread, tomatoes, and something sweet.", due_date: day(0), tags: ["shopping"] },
    { title: "Pay the electricity bill", due_date: day(-2), priority: "high", tags: ["home", "money"] },
  ];
}
