// Files of a message: checked, and made into the parts that the API takes.
import { element } from "./elements.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST = 20;
// Of all files of a message; in base64 they grow by a third.
const MOST_BYTES = 20 * 1024 ** 2;

export class Files {
  constructor(list, report) {
    this.list = list;
    this.report = report;
    this.parts = [];
    this.bytes = 0;
  }

  async add(files) {
    this.report("");
    for (const file of files) {
      try {
        this.check(file);
        this.show(await partOf(file), file.size);
      } catch (error) {
        this.report(error.message);
      }
    }
  }

  check(file) {
    if (this.parts.length >= MOST) throw new Error(`${file.name} is not added: a message takes ${MOST} files.`);
    if (this.bytes + file.size > MOST_BYTES) throw new Error(`${file.name} is not added: the files of a message may have 20 MB together.`);
    if (!file.size) throw new Error(`${file.name} is empty.`);
  }

  show(part, size) {
    this.parts.push(part);
    this.bytes += size;
    const remove = element("button", { type: "button", className: "quiet", aria: { label: `Remove ${nameOf(part)}` } }, "×");
    const chip = element("li", {}, thumbnail(part), remove);
    remove.addEventListener("click", () => {
      this.parts.splice(this.parts.indexOf(part), 1);
      this.bytes -= size;
      chip.remove();
    });
    this.list.append(chip);
  }

  // Returns the parts, and forgets them.
  take() {
    const parts = this.parts;
    this.replace([]);
    return parts;
  }

  replace(parts) {
    this.list.replaceChildren();
    Object.assign(this, { parts: [], bytes: 0 });
    for (const part of parts) this.show(part, sizeOf(part));
  }
}

// Returns what shows a part: a small image, or a name.
export function thumbnail(part) {
  const url = part.image_url?.url ?? "";
  if (IMAGES.some((type) => url.startsWith(`data:${type};`))) return element("img", { src: url, alt: nameOf(part) });
  return element("span", { className: "tag" }, nameOf(part));
}

const nameOf = (part) => part.file?.filename || (part.image_url ? part.image_url.url.replace(/^data:.*/s, "an image") : "a file");
const sizeOf = (part) => ((part.image_url?.url ?? part.file.file_data).length * 3) / 4;

async function partOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (IMAGES.includes(file.type)) return { type: "image_url", image_url: { url: await dataUrl(file, file.type) } };
  const isPdf = new TextDecoder("latin1").decode(bytes.subarray(0, 5)) === "%PDF-";
  if (!isPdf && !isText(bytes)) throw new Error(`${file.name} is not added: it is no image (PNG, JPEG, GIF, WebP), no PDF and no text in UTF-8.`);
  const type = isPdf ? "application/pdf" : "text/plain";
  return { type: "file", file: { filename: file.name, file_data: await dataUrl(file, type) } };
}

function isText(bytes) {
  try {
    return !new TextDecoder("utf-8", { fatal: true }).decode(bytes).includes("\0");
  } catch {
    return false;
  }
}

function dataUrl(file, type) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(new Blob([file], { type }));
  });
}
