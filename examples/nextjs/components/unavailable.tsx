"use client";

import { useRouter } from "next/navigation";
import { useEffect } from "react";
import { WORDS } from "@/lib/words";
import { Problem } from "./problem";

const RETRY_MILLISECONDS = 3000;

/** Replaces the page while the session cannot be read because the database is down. Retries regularly. */
export function Unavailable() {
  const router = useRouter();
  useEffect(() => {
    const timer = setInterval(() => router.refresh(), RETRY_MILLISECONDS);
    return () => clearInterval(timer);
  }, [router]);
  return (
    <main>
      <Problem
        title="The page cannot be shown"
        detail={WORDS.account_unreachable}
        onRetry={() => router.refresh()}
        isTemporary
      />
    </main>
  );
}
