import type { Metadata, Viewport } from "next";
import "./globals.css";

// Each response has its own nonce (see proxy.ts), so pages cannot be rendered at build time.
export const dynamic = "force-dynamic";

export const metadata: Metadata = { title: "Tasks", description: "What you want to do, and what you have done." };

export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f6f5f2" },
    { media: "(prefers-color-scheme: dark)", color: "#14161a" },
  ],
};

export default function Layout({ children }: { children: React.ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
