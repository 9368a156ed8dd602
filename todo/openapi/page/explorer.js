// Shows the document, and sends the token of the form with every request.
"use strict";

const prefix = document.getElementById("document").dataset.prefix;
const form = document.getElementById("token");
const text = document.getElementById("token-text");
const status = document.getElementById("token-status");
// In this tab only: anyone who has the token can act as the user.
const KEPT = "todo-token";

// A link of `make run` brings a token in its fragment, which browsers do not send. It is taken out of the address bar
// before Swagger UI reads the fragment. On other hosts it is not used: it could sign somebody in as another user.
const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  if (!isLocal) return false;
  text.value = token;
  return true;
}
const isGiven = takeTokenFromAddress();
// The link was opened in a tab that shows the page already.
addEventListener("hashchange", () => takeTokenFromAddress() && useToken());

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

const nothing = () => () => null;
// The page's own address, because its policy allows no other. A proxy may not tell the service about it.
const useThisServer = (update) => (document) => update({ ...document, servers: [{ url: location.origin + prefix }] });
const ui = SwaggerUIBundle({
  dom_id: "#document",
  url: `${prefix}/api/openapi.json`,
  // The form above replaces Swagger UI's own dialog.
  plugins: [
    { wrapComponents: { authorizeBtn: nothing, authorizeOperationBtn: nothing } },
    { statePlugins: { spec: { wrapActions: { updateJsonSpec: useThisServer } } } },
  ],
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete: () => text.value && useToken(),
});

if (!isGiven) text.value = sessionStorage.getItem(KEPT) ?? "";
form.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken();
});

async function useToken() {
  // Tokens are often copied with "Bearer" or with quotes.
  const token = text.value.trim().replace(/^bearer\s+/i, "").replace(/^"(.*)"$/, "$1");
  sessionStorage.setItem(KEPT, token);
  // Without a token, no header is sent.
  if (ui.getState().getIn(["auth", "authorized"])) ui.authActions.logout(["bearer"]);
  if (!token) return say("Needed for every call below. It stays in this tab.");
  ui.preauthorizeApiKey("bearer", token);
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${prefix}/api/tasks?limit=1`, { headers });
    if (answer.ok) say(`Accepted: you are ${describe(token)}.`, "good");
    else say((await answer.json()).detail, "bad");
  } catch (error) {
    say(`The service could not be asked: ${error.message}`, "bad");
  }
}

// The service has verified the token; this only reads what it says.
function describe(token) {
  const base64 = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))));
  return `${claims.sub}, until ${new Date(claims.exp * 1000).toLocaleString()}`;
}

function say(sentence, kind = "") {
  status.value = sentence;
  status.className = kind;
}
