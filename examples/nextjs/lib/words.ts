// What the user reads about a problem. The service's sentences are for developers, except those about fields.

import type { ApiProblem } from "./api";

export const WORDS = {
  account_unreachable: "Your account cannot be reached.",
  idempotency_key_gone: "This task was added before and has been deleted since. Press Add to add it again.",
  internal_error: "Something went wrong in the task service.",
  not_found: "This task does not exist any more.",
  other_user: "Somebody else has signed in here. Reload the page.",
  page_error: "Something went wrong on this page. Reload it.",
  precondition_failed: "This task was changed meanwhile.",
  rate_limited: "That was too much at once. Wait a moment.",
  search_too_slow: "This search takes too long. Search for fewer words.",
  session_ended: "Your session has ended. Reload the page to sign in.",
  task_limit_reached: "You have as many tasks as you may have. Delete some first.",
  token_expired: "Your session has ended. Reload the page to sign in.",
  token_invalid: "The task service does not accept your sign-in. Sign out, and sign in again.",
  token_missing: "Your session has ended. Reload the page to sign in.",
  too_many_concurrent_requests: "That was too much at once. Wait a moment.",
  unavailable: "The task service is not available at the moment.",
  unreachable: "The task service cannot be reached.",
};

/** Explains a problem to the user: in the words above, or in the service's sentence about a field. */
export function explain(problem: ApiProblem): string {
  const text = WORDS[problem.code as keyof typeof WORDS];
  if (!text) return problem.isTemporary ? WORDS.unavailable : problem.detail;
  return problem.code === "internal_error" ? `${text} If it happens again, report this number: ${problem.requestId}.` : text;
}
