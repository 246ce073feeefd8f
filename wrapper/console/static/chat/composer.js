// Where one writes a message, and adds files to it.
import { Files } from "./files.js";

export class Composer {
  constructor(form, { submit, stop }) {
    const find = (css) => form.querySelector(css);
    this.form = form;
    this.field = find("#prompt");
    this.notice = find("#editing");
    this.files = new Files(find("#files"), (text) => this.report(text));
    this.submit = submit;
    this.edited = null;
    this.busy = false;
    form.addEventListener("submit", (event) => this.send(event));
    find("#stop").addEventListener("click", stop);
    this.notice.querySelector("button").addEventListener("click", () => this.reset());
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.takeFiles(find("#attach"), find("#picker"));
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  report(text) {
    this.form.querySelector("#mistake").textContent = text;
  }

  // On a phone, Enter begins a line, as there is no other key for it.
  press(event) {
    const meant = event.ctrlKey || event.metaKey || (!event.shiftKey && !matchMedia("(pointer: coarse)").matches);
    if (event.key !== "Enter" || event.isComposing || !meant) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  send(event) {
    event.preventDefault();
    const text = this.field.value.trim();
    if (this.busy || !(text || this.files.parts.length)) return;
    const parts = this.files.take();
    const edited = this.edited;
    this.reset();
    this.submit(parts.length ? [...(text ? [{ type: "text", text }] : []), ...parts] : text, edited);
  }

  edit(view, text, parts) {
    this.edited = view;
    this.notice.hidden = false;
    this.notice.querySelector("span").textContent = "Sending replaces that message and all that follows it.";
    this.field.value = text;
    this.files.replace(parts);
    this.field.focus();
  }

  reset() {
    this.edited = null;
    this.notice.hidden = true;
    this.field.value = "";
    this.files.replace([]);
    this.report("");
    this.focus();
  }

  setBusy(busy) {
    this.busy = busy;
    this.report("");
    this.form.querySelector("#send").hidden = busy;
    this.form.querySelector("#stop").hidden = !busy;
  }

  takeFiles(button, picker) {
    button.addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.files.add([...picker.files]);
      picker.value = "";
    });
    this.field.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) {
        event.preventDefault();
        this.files.add([...event.clipboardData.files]);
      }
    });
    const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (carriesFiles(event)) event.preventDefault();
      this.form.classList.toggle("dropping", carriesFiles(event));
    });
    addEventListener("dragleave", () => this.form.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      this.form.classList.remove("dropping");
      if (!carriesFiles(event)) return;
      event.preventDefault();
      this.files.add([...event.dataTransfer.files]);
    });
  }
}
