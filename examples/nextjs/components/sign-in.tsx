"use client";

import { useRouter } from "next/navigation";
import { useState, type FormEvent } from "react";
import { authClient } from "@/lib/auth-client";
import { Mark } from "./icons";
import { Problem } from "./problem";

export function SignIn() {
  const router = useRouter();
  const [isNew, setNew] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const { name = "", email = "", password = "" } = Object.fromEntries(new FormData(event.currentTarget)) as Record<string, string>;
    setBusy(true);
    setProblem(undefined);
    const { error } = await (
      isNew ? authClient.signUp.email({ name, email, password }) : authClient.signIn.email({ email, password })
    ).catch(() => ({ error: { message: undefined } }));
    setBusy(false);
    if (error) setProblem(error.message ?? "Your account cannot be reached. Try again in a moment.");
    else router.refresh();
  }

  return (
    <main className="card sign-in">
      <Mark />
      <h1>{isNew ? "Create your account" : "Welcome back"}</h1>
      <p className="muted">{isNew ? "Your tasks are yours alone." : "Sign in to see your tasks."}</p>
      <form onSubmit={(event) => void submit(event)} className="fields">
        {isNew && (
          <label>
            Name
            <input name="name" autoComplete="name" required />
          </label>
        )}
        <label>
          Email
          <input name="email" type="email" autoComplete="email" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            minLength={8}
            aria-describedby={isNew ? "password-hint" : undefined}
            required
          />
        </label>
        {isNew && (
          <p id="password-hint" className="muted">
            At least 8 characters.
          </p>
        )}
        {problem && <Problem title={isNew ? "No account was created" : "You are not signed in"} detail={problem} />}
        <button className="primary" disabled={isBusy}>
          {isNew ? "Sign up" : "Sign in"}
        </button>
      </form>
      <p className="muted">
        {isNew ? "You have an account?" : "You are new here?"}{" "}
        <button type="button" className="link" onClick={() => (setNew(!isNew), setProblem(undefined))}>
          {isNew ? "Sign in instead" : "Create an account"}
        </button>
      </p>
    </main>
  );
}
