import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { TaskApp } from "@/components/task-list";
import { auth } from "@/lib/auth";
import { apiUrl } from "@/lib/settings";

export default async function Page() {
  const session = await auth.api.getSession({ headers: await headers() });
  if (!session) redirect("/");
  return <TaskApp userId={session.user.id} apiUrl={apiUrl()} />;
}
