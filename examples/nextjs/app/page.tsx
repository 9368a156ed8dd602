import { headers } from "next/headers";
import { SignIn } from "@/components/sign-in";
import { Tasks } from "@/components/tasks";
import { Unavailable } from "@/components/unavailable";
import { auth } from "@/lib/auth";
import { apiUrl } from "@/lib/settings";

export default async function Page() {
  const session = await auth.api.getSession({ headers: await headers() }).catch((error: unknown) => {
    console.error(error);
    return undefined;
  });
  if (session === undefined) return <Unavailable />;
  if (!session) return <SignIn />;
  const { id, name } = session.user;
  return <Tasks key={id} user={{ id, name }} apiUrl={apiUrl()} />;
}
