import type { NextConfig } from "next";

// Contact no external address: telemetry is off (see .env), and so is the build's check for advisories.
const config: NextConfig = {
  experimental: { agentUpgrade: false },
  poweredByHeader: false,
  turbopack: { root: import.meta.dirname },
};

export default config;
