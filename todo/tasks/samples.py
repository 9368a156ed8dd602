"""Sample tasks: a person's tasks around today, for trials; any number in several languages, for measurements."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from todo.tasks.due import Due, end_of
from todo.tasks.fields import PRIORITIES
from todo.tasks.portability import create_tasks, import_tasks
from todo.tasks.resource import TASKS
from todo.tasks.zones import ZoneName


class Sample(NamedTuple):
    """A task of a person. ``day`` and ``clock`` are when it is due: 0 is today, and without a clock, the whole day.

    It was created ``age`` and completed ``completed`` days ago. ``reminder`` is a time on the day when it is due.
    """

    age: int
    title: str
    day: int | None = None
    clock: str | None = None
    priority: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    completed: int | None = None
    rule: str | None = None
    reminder: str | None = None


# The oldest first.
SAMPLES = (
    Sample(21, "Renew the passport", 45, None, "medium", ("travel",), "Two new photos are needed."),
    Sample(20, "Learn to bake sourdough bread", tags=("home",)),
    Sample(18, "Fix the squeaky door", tags=("home",), completed=5),
    Sample(16, "Change the batteries of the smoke alarms", 20, None, "low", ("home",), rule="FREQ=YEARLY"),
    Sample(14, "Read the book that Tom lent me", None, None, "low"),
    Sample(12, "Renew the car insurance", -3, None, "high", ("money",), "The policy is in the blue folder."),
    Sample(11, "Pay the electricity bill", -2, None, "high", ("money",), completed=2),
    Sample(10, "Book train tickets to Edinburgh", 12, None, "medium", ("travel", "family"),
           "Two adults. Out on Friday evening, back on Sunday."),
    Sample(9, "Return the library books", -1, None, "low", ("errands",)),
    Sample(8, "Parents' evening at school", 6, "19:00", None, ("family",), "Room 12, second floor."),
    Sample(7, "Write the release notes", -1, "17:00", "high", ("work",), completed=1),
    Sample(6, "Dentist", 1, "08:45", "medium", ("health",), "Bring the insurance card.", reminder="08:00"),
    Sample(5, "Review the budget for next quarter", 4, "10:00", "high", ("work", "money"),
           "Compare with last quarter first:\n- travel\n- software\n- training"),
    Sample(5, "Call Grandma", 2, None, None, ("family",), rule="FREQ=WEEKLY", reminder="17:00"),
    Sample(4, "Buy a birthday present for Mia", 3, None, "medium", ("family", "errands"),
           "She likes puzzles, and books about space."),
    Sample(4, "Reply to Priya about the invoice", -1, "16:00", "medium", ("work",)),
    Sample(3, "Send the project update", 0, None, "high", ("work",), "Three sentences and the new chart are enough."),
    Sample(3, "Mow the lawn", 5, None, "low", ("home",), rule="FREQ=WEEKLY;INTERVAL=2"),
    Sample(2, "Pay the electricity bill", 28, None, "high", ("money",), rule="FREQ=MONTHLY"),
    Sample(2, "Lunch with Sam", 0, "12:30", None, ("friends",), "At the Italian place near the station."),
    Sample(2, "Pick up the parcel", 0, "18:00", "medium", ("errands",), "Bring an ID. They close at 18:30."),
    Sample(1, "Water the plants", 1, None, None, ("home",), rule="FREQ=DAILY;INTERVAL=3"),
    Sample(1, "Find a podcast about the history of maps"),
)  # fmt: skip

BATCH = 1000
DAYS = 730

# A verb with its objects, in languages with different scripts.
PHRASES = {
    "Buy {}": ["milk", "a birthday present", "train tickets", "light bulbs", "coffee beans", "printer paper"],
    "Call {}": ["the dentist", "Grandma", "the landlord", "Zoë about Friday", "the bank", "José"],
    "Write {}": ["the quarterly report", "a thank-you note", "the minutes", "release notes", "to the tax office"],
    "Repair {}": ["the bicycle", "the kitchen tap", "the login page", "a torn jacket", "the flaky test"],
    "{} lesen": ["Roman", "Vertrag", "die Übersetzung", "Straßenkarte", "Nachrichten"],
    "Réserver {}": ["un hôtel à Besançon", "une table", "la salle de réunion", "le contrôle technique"],
    "Купить {}": ["молоко", "подарок", "билеты в Казань", "тетради"],
    "{}を買う": ["牛乳", "切符", "プレゼント", "電池"],
    "شراء {}": ["الحليب", "الخبز", "هدية"],
}
DESCRIPTIONS = [
    "Before the weekend if possible.",
    "Ask for the price first, and write it down.",
    "See the notes from last time.",
    "The number is on the fridge.",
    "Не забыть взять чек.",
    "レシートを忘れずに。",
    "Compare at least two offers, and decide on Thursday.",
]
TAGS = ["home", "work", "errand", "family", "health", "money", "travel", "Büro", "学校", "waiting"]


def add_samples(user_id: str, zone: tzinfo | None, *, add: bool) -> int:
    """Store SAMPLES for a user, with today as it is in the time zone, by default the machine's; return their number.

    Returns 0 if the user would have more than MAX_TASKS, or has tasks already and ``add`` is false.
    """
    tasks = list(make_samples(datetime.now(zone).replace(tzinfo=None), zone))
    return len(tasks) if import_tasks(user_id, tasks, add=add) else 0


def make_samples(now: datetime, zone: tzinfo | None) -> Iterator[dict[str, Any]]:
    """Yield SAMPLES as import_tasks takes them. ``now`` is the time in the zone, without a zone."""

    def find_instant(day: int, clock: str) -> datetime:
        local = datetime.combine(now.date() + timedelta(days=day), time.fromisoformat(clock))
        # Without a zone, the machine's own, with its summer time on that day.
        return (local.replace(tzinfo=zone) if zone else local).astimezone(UTC)

    time_zone = ZoneName().deserialize(str(zone)) if zone else None
    for number, each in enumerate(SAMPLES):
        created_at = find_instant(-each.age, f"09:{number:02}")
        completed_at = None if each.completed is None else find_instant(-each.completed, f"17:{number:02}")
        due_date = remind_at = None
        if each.day is not None:
            day = now.date() + timedelta(days=each.day)
            at = find_instant(each.day, each.clock) if each.clock else end_of(day)
            due_date = Due(at, all_day=each.clock is None)
            remind_at = find_instant(each.day, each.reminder) if each.reminder else None
        yield {
            "title": each.title,
            "description": each.description,
            "priority": each.priority,
            "tags": list(each.tags),
            "due_date": due_date,
            "remind_at": remind_at,
            "recurrence": {"rule": each.rule, "from": "due", "time_zone": time_zone} if each.rule else None,
            "created_at": created_at,
            "completed_at": completed_at,
            "updated_at": completed_at or created_at,
        }


def add_tasks(user_id: str, number: int, random: Random) -> Iterator[int]:
    """Store sample tasks of a user, oldest first, in batches; yields the size of each stored batch."""
    tasks = make_tasks(number, random)
    while batch := list(islice(tasks, BATCH)):
        yield create_tasks(user_id, batch, add=True)


def make_fields(created_at: datetime, random: Random) -> dict[str, Any]:
    """Return the fields of a sample task."""
    phrase = random.choice(list(PHRASES))
    due_at = created_at + timedelta(days=random.randint(0, 30))
    due_date = Due(end_of(due_at.date()), all_day=True) if random.random() < 0.5 else Due(due_at, all_day=False)
    return {
        "title": phrase.format(random.choice(PHRASES[phrase])),
        "description": " ".join(random.sample(DESCRIPTIONS, random.randint(1, 3))) if random.random() < 0.4 else None,
        "priority": random.choice([None, None, *PRIORITIES]),
        "tags": random.sample(TAGS, random.choice([0, 0, 1, 1, 2, 3])),
        "due_date": due_date if random.random() < 0.5 else None,
    }


def make_tasks(number: int, random: Random) -> Iterator[dict[str, Any]]:
    """Yield sample tasks as columns for JSON."""
    now = datetime.now(UTC)
    for place in range(number):
        age = timedelta(days=DAYS) * (number - place) / number
        created_at = now - age
        completed_at = created_at + age * random.random() if random.random() < 0.7 else None
        columns = TASKS.to_columns(make_fields(created_at, random))
        times = {
            "due_at": columns["due_at"],
            "created_at": created_at,
            "completed_at": completed_at,
            "updated_at": completed_at or created_at,
        }
        yield columns | {name: time and time.isoformat() for name, time in times.items()}
