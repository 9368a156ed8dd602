// Railway runs the service from this file: docs/deploy-platforms.md.
// All fields: https://docs.railway.com/infrastructure-as-code/reference

import { defineRailway, preserve, project, service } from "railway/iac";

export default defineRailway(() => {
  const todo = service("todo", {
    build: { builder: "DOCKERFILE", dockerfilePath: "Dockerfile" },
    preDeploy: "python -m server --migrate",
    // Railway requests it only until a release is live.
    healthcheck: "/readyz",
    healthcheckTimeout: 120,
    deploy: { overlapSeconds: 5, drainingSeconds: 35 },
    replicas: { "us-east4-eqdc4a": 1 }, // the region of the database
    env: {
      DATABASE_URL: preserve(), // todo_web
      MIGRATION_DATABASE_URL: preserve(), // the owner
      BETTER_AUTH_URL: preserve(),
      CORS_ORIGINS: preserve(),
      WEB_CONCURRENCY: "1",
    },
  });
  return project("todo", { resources: [todo] });
});
