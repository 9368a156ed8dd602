/** The task service's address. It is read at run time, not at build time, so one build works everywhere. */
export const apiUrl = () => process.env.API_URL ?? "http://localhost:8000";
