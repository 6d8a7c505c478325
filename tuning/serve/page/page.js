// The page: choose a model, give a picture, compare before and after.
import { ask, keepToken } from "./api.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 10_000;

let models = null; // the answer of /models
let picture = null; // the file that was given last
let running = null; // aborts the request that is under way
let urls = []; // of pictures that are shown, to be freed

// What there is to choose from -------------------------------------------------------------------

async function refresh() {
  try {
    const answer = await ask("/models");
    $("token-form").hidden = true;
    showModels(await answer.json());
  } catch (problem) {
    if (problem.status === 401) askForToken();
    else if (!models) showError(problem.message);
  }
}

function showModels(found) {
  const changed = JSON.stringify(found) !== JSON.stringify(models);
  models = found;
  if (!changed) return;
  const mode = chosenMode();
  const version = $("version").value;
  $("modes").querySelectorAll("label").forEach((label) => label.remove());
  for (const entry of found.modes) $("modes").append(modeLabel(entry, entry.mode === mode));
  if (!$("modes").querySelector(":checked")) {
    const first = $("modes").querySelector("input");
    if (first) first.checked = true;
  }
  $("modes").hidden = !found.modes.length;
  const missing = found.missing.join(" and ");
  $("advice").hidden = !missing && found.modes.length > 0;
  $("advice").textContent =
    (found.modes.length ? `No champion yet for ${missing}: ` : "No champion yet: ") +
    found.advice.replaceAll("`", "");
  $("version").replaceChildren($("version").firstElementChild, ...found.versions.map(versionOption));
  $("version").value = version;
  if ($("version").selectedIndex < 0) $("version").value = "";
  $("others").hidden = !found.versions.length;
}

function modeLabel(entry, checked) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), {
    type: "radio", name: "mode", value: entry.mode, checked,
  });
  const version = document.createElement("small");
  version.textContent = `version ${entry.champion.version}`;
  label.append(input, entry.label, version);
  return label;
}

function versionOption(entry) {
  const aliases = entry.aliases.length ? ` (${entry.aliases.join(", ")})` : "";
  const score = entry.scores.test_psnr;
  const psnr = score === undefined ? "" : `, test PSNR ${score.toFixed(2)} dB`;
  return new Option(`${entry.name} version ${entry.version}${aliases}${psnr}`, entry.uri);
}

const chosenMode = () => $("modes").querySelector(":checked")?.value ?? localStorage.mode;

function askForToken() {
  $("token-form").hidden = false;
  $("token").focus();
}

// Colorizing -------------------------------------------------------------------------------------

async function colorize() {
  if (!picture) return;
  running?.abort();
  const request = (running = new AbortController());
  const file = picture;
  hideError();
  $("status").textContent = `Colorizing ${file.name} …`;
  const version = $("version").value;
  const mode = chosenMode();
  const query = new URLSearchParams(version ? { model: version } : mode ? { mode } : {});
  try {
    const answer = await ask(`/colorize?${query}`, {
      method: "POST", body: file, signal: request.signal,
      headers: { "Content-Type": "application/octet-stream" },
    });
    showResult(file, await answer.blob(), answer.headers);
    $("status").textContent = `${file.name} is colorized.`;
  } catch (problem) {
    if (request.signal.aborted) return;
    $("status").textContent = "";
    if (problem.status === 401) askForToken();
    $("result").hidden = true;
    showError(`${file.name}: ${problem.message}`);
  }
}

function showResult(file, png, headers) {
  const get = (name) => headers.get(`Chromatune-${name}`);
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [URL.createObjectURL(png), URL.createObjectURL(file)];
  const [after, before] = urls;
  const hasColour = get("Input") === "colour";
  $("after").onload = () => {
    const { naturalWidth: width, naturalHeight: height } = $("after");
    $("compare").style.setProperty("--ratio", width / height);
    $("compare").style.setProperty("--natural", `${width}px`);
  };
  $("after").src = after;
  // A browser that cannot show the file itself shows the result without its colours.
  $("before").onerror = () => {
    $("before").onerror = null;
    $("before").src = after;
    $("original").checked = false;
    $("original-choice").hidden = true;
    compareWithOriginal();
  };
  $("before").src = before;
  $("original-choice").hidden = !hasColour;
  compareWithOriginal();
  moveSlider(50);
  $("download").href = after;
  $("download").download = `${file.name.replace(/\.[^.]*$/, "")}-colorized.png`;
  $("result-title").textContent = file.name;
  showFacts(get);
  $("result").hidden = false;
}

function showFacts(get) {
  const a = Number(get("Mean-A")), b = Number(get("Mean-B"));
  $("mean").textContent = inLab(a, b);
  $("mean-by").textContent = `${inLevels(a, b)}, by ${get("Mean-By")}`;
  const paintedA = Number(get("Painted-Mean-A")), paintedB = Number(get("Painted-Mean-B"));
  $("painted").textContent = inLab(paintedA, paintedB);
  $("painted-levels").textContent = inLevels(paintedA, paintedB);
  $("swatch").style.background = `lab(65 ${a} ${b})`;
  const version = get("Model-Version");
  $("model").textContent = `${get("Model")}${version ? ` version ${version}` : ""}`;
  const card = models?.versions.find((entry) => entry.uri === get("Model-Uri"));
  $("scores").textContent = scores(card?.scores ?? {});
}

const inLab = (a, b) => `a* ${a.toFixed(2)}, b* ${b.toFixed(2)}`;
const inLevels = (a, b) => `from 0 to 255: ${(a + 128).toFixed(1)}, ${(b + 128).toFixed(1)}`;

function scores(found) {
  const shown = [];
  if (found.test_psnr !== undefined) shown.push(`PSNR ${found.test_psnr.toFixed(2)} dB`);
  if (found.test_ssim !== undefined) shown.push(`SSIM ${found.test_ssim.toFixed(3)}`);
  const constant = found.constant_test_psnr;
  if (constant !== undefined) shown.push(`a constant colour has ${constant.toFixed(2)} dB`);
  return shown.join(", ") || "not measured";
}

// Before and after -------------------------------------------------------------------------------

function moveSlider(value) {
  $("slider").value = value;
  $("slider").setAttribute("aria-valuetext", `${Math.round(value)} % before`);
  $("compare").style.setProperty("--split", `${value}%`);
}

function compareWithOriginal() {
  $("before").classList.toggle("gray", !$("original").checked);
}

// Errors -----------------------------------------------------------------------------------------

function showError(text) {
  $("error").textContent = text;
  $("error").hidden = false;
}

function hideError() {
  $("error").hidden = true;
  $("error").textContent = "";
}

// Events -----------------------------------------------------------------------------------------

function take(files) {
  if (!files.length) return;
  picture = files[0];
  colorize();
}

$("file").addEventListener("change", () => {
  take([...$("file").files]);
  $("file").value = ""; // the same file may be chosen again
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
$("choice").addEventListener("change", (event) => {
  if (event.target.name === "mode") {
    localStorage.mode = event.target.value;
    $("version").value = "";
  }
  colorize();
});
$("choice").addEventListener("submit", (event) => event.preventDefault());
$("slider").addEventListener("input", () => moveSlider(Number($("slider").value)));
$("original").addEventListener("change", compareWithOriginal);
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken($("token").value);
  hideError();
  await refresh();
  colorize();
});
window.addEventListener("focus", refresh);
setInterval(() => document.hidden || refresh(), REFRESH_MS);
refresh();
