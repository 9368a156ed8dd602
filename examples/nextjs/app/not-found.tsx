import { Mark } from "@/components/icons";

export default function NotFound() {
  return (
    <main className="card sign-in">
      <Mark />
      <h1>There is nothing here</h1>
      <p>
        <a href="/">Go to your tasks</a>
      </p>
    </main>
  );
}
