/** Where the task service is. Read when it is asked, not when this is built: one build serves everywhere. */
export const apiUrl = () => process.env.API_URL ?? "http://localhost:8000";
