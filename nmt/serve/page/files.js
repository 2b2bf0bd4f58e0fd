// Translation of a file: chosen or dropped, uploaded, and offered for download.

import { RequestError, upload } from "./api.js";

/**
 * @param {Record<string, HTMLElement>} elements
 * @param {string[]} formats extensions, such as `.txt`.
 * @param {() => Record<string, string>} fields returns the form's further fields.
 */
export function setUpFiles(elements, formats, fields) {
  const { files, file, drop, formats: note } = elements;
  files.hidden = false;
  file.accept = formats.join(",");
  note.textContent = `or drop one here (${formats.join(", ")})`;

  const start = (chosen) => chosen && translateFile(elements, chosen, formats, fields());
  file.addEventListener("change", () => {
    start(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  listenToDrops(drop, start);
}

/** Take a file that is dropped anywhere on the page, which would else be opened instead of it. */
function listenToDrops(drop, start) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (on) => drop.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    start(event.dataTransfer.files[0]);
  });
}

/** @type {AbortController | null} */
let running = null;

async function translateFile(elements, file, formats, fields) {
  const { job, progress, cancel, download } = elements;
  running?.abort();
  const controller = new AbortController();
  running = controller;
  const say = (message, isError = false) => show(elements["file-message"], message, isError);
  download.hidden = true;
  if (!formats.some((ending) => file.name.toLowerCase().endsWith(ending))) {
    job.hidden = true;
    say(`${file.name} is not ${formats.join(" or ")}.`, true);
    return;
  }

  const form = new FormData();
  form.append("file", file);
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  const onProgress = (fraction) => {
    if (fraction < 1) progress.value = fraction;
    else progress.removeAttribute("value"); // how far the translation is, the server does not say
    say(fraction < 1 ? `Uploading ${file.name}` : `Translating ${file.name}`);
  };
  cancel.onclick = () => controller.abort();
  job.hidden = false;
  onProgress(0);
  try {
    const options = { signal: controller.signal, onWait: say };
    const { translatedFileUrl } = await upload("translate_file", form, onProgress, options);
    offer(download, translatedFileUrl, file.name);
    say(`${file.name} is translated.`);
  } catch (error) {
    if (running !== controller) return;
    if (controller.signal.aborted) say("Cancelled.");
    else if (error instanceof RequestError) say(error.message, true);
    else throw error;
  } finally {
    if (running === controller) job.hidden = true;
  }
}

/** The server may not know its own address, behind a proxy: only the name is taken from the URL. */
function offer(link, url, name) {
  link.href = `download_file/${url.split("/").at(-1)}`;
  link.download = `translated-${name}`;
  link.hidden = false;
}

function show(element, message, isError) {
  element.textContent = message;
  element.classList.toggle("error", isError);
}
