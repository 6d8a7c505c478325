// Requests to the server, and their errors, each as one line.

export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const keepToken = (token) => sessionStorage.setItem("token", token.trim());

// Ask the server; throws a Problem if there is no answer, or an error.
export async function ask(address, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(address, { ...options, headers });
  } catch (error) {
    throw new Problem(`the server does not answer (${error.message})`, 0);
  }
  if (answer.ok) return answer;
  let detail = `status ${answer.status}`;
  try {
    detail = (await answer.json()).detail;
  } catch {
    // No JSON, as from a proxy: the status must do.
  }
  const again = answer.headers.get("Retry-After");
  throw new Problem(again ? `${detail}; try again in ${again} s` : detail, answer.status);
}
