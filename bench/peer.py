"""The peer: the same four operations as the documentation of FastAPI and SQLModel teaches to write them.

It has a family of models, dependencies for session and user, and path functions that run in threads. Of the engine's
defaults, only the size of the pool is changed. It has no row security, ETags, cursors or rate limiter, and the
benchmark needs none of them. Its table has two indexes instead of six, so most updates change no index.
Run as a program, it creates its table.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, StringConstraints
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import ARRAY, DateTime, Field, Index, Session, SQLModel, Text, col, create_engine, select

SECRET = os.environ["BETTER_AUTH_SECRET"]

# A session ends after its response, so eight clients need more than eight connections. With the default size of 5, each
# twentieth request opens one, which doubles the CPU time of the database.
engine = create_engine(os.environ["DATABASE_URL"], pool_size=16)
app = FastAPI()
bearer = HTTPBearer()

Instant: Any = DateTime(timezone=True)
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True)]


class Priority(StrEnum):
    """The priority of a task."""

    low = "low"
    medium = "medium"
    high = "high"


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class TaskBase(SQLModel):
    """The fields that a client can write."""

    model_config = {"str_strip_whitespace": True}

    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    completed: bool = False
    priority: Priority | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=20, sa_type=ARRAY(Text))
    due_date: AwareDatetime | None = Field(default=None, sa_type=Instant)
    remind_at: AwareDatetime | None = Field(default=None, sa_type=Instant)
    recurrence: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)


class Task(TaskBase, table=True):
    """A row of the table."""

    __table_args__ = (Index("tasks_by_user", "user_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    user_id: str
    completed_at: datetime | None = Field(default=None, sa_type=Instant)
    next_id: int | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    updated_at: datetime = Field(default_factory=now, sa_type=Instant)
    uid: UUID = Field(default_factory=uuid4)


class TaskPublic(TaskBase):
    """A task in a response."""

    id: int
    user_id: str
    completed_at: datetime | None
    next_id: int | None
    created_at: datetime
    updated_at: datetime
    uid: UUID


class TaskCreate(TaskBase):
    """A task to create."""


class TaskUpdate(SQLModel):
    """The fields to change."""

    model_config = {"str_strip_whitespace": True}

    title: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    completed: bool | None = None
    priority: Priority | None = None
    tags: list[Tag] | None = Field(default=None, max_length=20)
    due_date: AwareDatetime | None = None
    remind_at: AwareDatetime | None = None
    recurrence: dict[str, str | None] | None = None


def get_session() -> Iterator[Session]:
    """Yield the session of a request."""
    with Session(engine) as session:
        yield session


async def get_user_id(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """Return the user id from the token."""
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"], options={"require": ["sub", "exp"]})
    except jwt.InvalidTokenError:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Could not validate credentials", {"WWW-Authenticate": "Bearer"}
        ) from None
    return str(claims["sub"])


SessionDep = Annotated[Session, Depends(get_session)]
UserDep = Annotated[str, Depends(get_user_id)]


def find_task(session: Session, user_id: str, task_id: int) -> Task:
    """Return the user's task, or fail with 404."""
    task = session.exec(select(Task).where(Task.user_id == user_id, Task.id == task_id)).first()
    if task is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Task not found")
    return task


def save(session: Session, task: Task) -> Task:
    """Store a task and read it back."""
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


def complete(task: Task, completed: bool) -> None:
    """Set whether and when a task was completed."""
    if completed != (task.completed_at is not None):
        task.completed_at = now() if completed else None
    task.completed = completed


@app.get("/api/tasks", response_model=list[TaskPublic])
def list_tasks(session: SessionDep, user_id: UserDep, limit: Annotated[int, Query(ge=1, le=1000)] = 1000) -> Any:
    """List your tasks, newest first."""
    return session.exec(select(Task).where(Task.user_id == user_id).order_by(col(Task.id).desc()).limit(limit)).all()


@app.post("/api/tasks", response_model=TaskPublic, status_code=status.HTTP_201_CREATED)
def create_task(session: SessionDep, user_id: UserDep, new: TaskCreate) -> Any:
    """Create a task."""
    task = Task.model_validate(new, update={"user_id": user_id})
    complete(task, new.completed)
    return save(session, task)


@app.get("/api/tasks/{task_id}", response_model=TaskPublic)
def get_task(session: SessionDep, user_id: UserDep, task_id: int) -> Any:
    """Get one task."""
    return find_task(session, user_id, task_id)


@app.patch("/api/tasks/{task_id}", response_model=TaskPublic)
def change_task(session: SessionDep, user_id: UserDep, task_id: int, changes: TaskUpdate) -> Any:
    """Change the fields in the body."""
    task = find_task(session, user_id, task_id)
    fields = changes.model_dump(exclude_unset=True)
    task.sqlmodel_update(fields, update={"updated_at": now()})
    if "completed" in fields:
        complete(task, fields["completed"])
    return save(session, task)


if __name__ == "__main__":
    SQLModel.metadata.create_all(engine)
