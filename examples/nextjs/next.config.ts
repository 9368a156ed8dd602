import type { NextConfig } from "next";

// Nothing outside is asked: no telemetry (see .env), no advisories when it is built.
const config: NextConfig = {
  experimental: { agentUpgrade: false },
  poweredByHeader: false,
  turbopack: { root: import.meta.dirname },
};

export default config;
