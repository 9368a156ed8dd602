import type { NextConfig } from "next";

// The packages are in this folder and in the one above.
const config: NextConfig = { experimental: { agentUpgrade: false }, turbopack: { root: `${import.meta.dirname}/..` } };

export default config;
