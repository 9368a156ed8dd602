"use client";

import { useRouter } from "next/navigation";
import { useEffect } from "react";
import { Problem } from "./problem";

const RETRY_MILLISECONDS = 3000;

/** Instead of the page, while nobody knows who is signed in: the database is away. It comes back by itself. */
export function Away() {
  const router = useRouter();
  useEffect(() => {
    const timer = setInterval(() => router.refresh(), RETRY_MILLISECONDS);
    return () => clearInterval(timer);
  }, [router]);
  return (
    <main>
      <Problem
        title="The page cannot be shown"
        detail="Your account cannot be reached."
        onRetry={() => router.refresh()}
        isTemporary
      />
    </main>
  );
}
