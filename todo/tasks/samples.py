"""Sample tasks in several languages, for trials, tests and measurements."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from todo.tasks.due import Due, end_of
from todo.tasks.fields import PRIORITIES
from todo.tasks.queries import create_tasks
from todo.tasks.resource import TASKS

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
