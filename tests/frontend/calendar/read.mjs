// Reads an iCalendar file from standard input with ical.js, and prints its events as JSON: each with its first
// occurrences, as many as the argument says, in UTC or as dates.

import { readFileSync } from "node:fs";
import ICAL from "ical.js";

const number = Number(process.argv[2]);
const calendar = new ICAL.Component(ICAL.parse(readFileSync(0, "utf8")));

function* expand(event) {
  if (!event.isRecurring()) return yield event.startDate;
  const occurrences = event.iterator();
  for (let count = 0, time = occurrences.next(); time && count < number; count += 1, time = occurrences.next()) yield time;
}

function read(component) {
  const event = new ICAL.Event(component);
  const show = (time) => (time.isDate ? time : time.convertToZone(ICAL.Timezone.utcTimezone)).toString();
  const occurrences = [...expand(event)];
  return {
    uid: event.uid,
    summary: event.summary,
    description: event.description,
    categories: component.getFirstProperty("categories")?.getValues() ?? [],
    occurrences: occurrences.map(show),
    alarms: component.getAllSubcomponents("valarm").flatMap((alarm) => {
      const trigger = alarm.getFirstPropertyValue("trigger");
      if (trigger instanceof ICAL.Time) return [show(trigger)];
      return occurrences.map((time) => {
        const rung = time.clone();
        rung.isDate = false;
        rung.addDuration(trigger);
        return show(rung);
      });
    }),
  };
}

const events = calendar.getAllSubcomponents("vevent").map(read);
console.log(JSON.stringify({ name: calendar.getFirstPropertyValue("x-wr-calname"), events }));
