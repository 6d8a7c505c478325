// The API's description out of /openapi.json, as a page.
import { ask } from "./api.js";

const element = (name, text = "", ...children) => {
  const made = Object.assign(document.createElement(name), { textContent: text.replaceAll("`", "") });
  made.append(...children);
  return made;
};

function table(rows) {
  return element("table", "", ...rows.map((cells) =>
    element("tr", "", ...cells.map((cell) => element("td", cell)))));
}

function operation(method, path, described) {
  const section = element("section", "", element("h2", `${method.toUpperCase()} ${path}`));
  section.append(element("p", described.description ?? ""));
  const parameters = (described.parameters ?? []).map((entry) => [entry.name, entry.description ?? ""]);
  if (parameters.length) section.append(element("h3", "Parameters"), table(parameters));
  if (described.requestBody) {
    const types = Object.keys(described.requestBody.content).join(" or ");
    section.append(element("h3", "Body"), element("p", `${types}: ${described.requestBody.description}`));
  }
  const answers = Object.entries(described.responses).map(([code, entry]) => [code, entry.description]);
  section.append(element("h3", "Answers"), table(answers));
  for (const entry of Object.values(described.responses)) {
    const headers = Object.entries(entry.headers ?? {}).map(([name, what]) => [name, what.description]);
    if (headers.length) section.append(element("h3", "Headers of the picture"), table(headers));
  }
  return section;
}

const api = await (await ask("/openapi.json")).json();
document.getElementById("example").textContent =
  `curl -F file=@photo.jpg -o colorized.png '${location.origin}/colorize?mode=faces'`;
document.getElementById("operations").append(
  ...Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => operation(method, path, described))));
