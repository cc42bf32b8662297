"use strict";
const form = document.getElementById("accept");
const outcome = document.getElementById("outcome");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// Out of the address bar, and of what the browser remembers.
history.replaceState(null, "", location.pathname);

const done = (text) => {
  form.hidden = true;
  outcome.textContent = text;
};

if (!token) {
  done("This link has no invitation in it. Open it once more from the letter, or ask for another one.");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  outcome.textContent = "One moment…";
  const body = { token, password: form.elements.password.value };
  if (form.elements.displayName.value.trim()) {
    body.displayName = form.elements.displayName.value;
  }
  try {
    const answer = await fetch("/api/v1/auth/invitations/accept", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const content = await answer.json();
    if (answer.ok) {
      done(`Welcome to ${content.organization.name}, ${content.user.displayName}. You are a member now.`);
    } else if (answer.status === 401) {
      outcome.textContent = "You have an account already, and this is not its password.";
    } else {
      outcome.textContent = content.error.message;
    }
  } catch {
    outcome.textContent = "Keyrack did not answer. Try again.";
  }
});
