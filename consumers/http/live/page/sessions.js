// The list of sessions: newest first, one of them shown, one under the cursor of the keyboard.

const make = (name, className) => Object.assign(document.createElement(name), { className });

export function age(seconds) {
  if (seconds < 3) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const counted = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

const count = (n) => (n < 10000 ? String(n) : `${(n / 1000).toFixed(n < 100000 ? 1 : 0)}k`);

export class SessionList {
  #box;
  #chosen;
  #rows = new Map();
  #all = [];
  #came = 0;
  #filter = "";
  #cursor = null;
  #ids = 0;
  shown = null;

  // box is the listbox; chosen(name): somebody wants to see it.
  constructor(box, chosen) {
    this.#box = box;
    this.#chosen = chosen;
    box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.choose(row.name);
    });
    box.addEventListener("focus", () => this.#cursor ?? this.#point(this.shown ?? this.visible[0]));
  }

  get names() {
    return this.#all.map((x) => x.session);
  }

  get visible() {
    return this.names.filter((x) => x.toLowerCase().includes(this.#filter));
  }

  find(name) {
    return this.#all.find((x) => x.session === name);
  }

  update(sessions) {
    this.#all = sessions;
    this.#came = performance.now();
    this.draw();
  }

  filter(text) {
    this.#filter = text.trim().toLowerCase();
    this.draw();
  }

  // Move the cursor by so many rows, and keep it in sight.
  move(by) {
    const names = this.visible;
    if (!names.length) return;
    const at = names.indexOf(this.#cursor ?? this.shown);
    this.#point(names[Math.max(0, Math.min(names.length - 1, at < 0 ? 0 : at + by))]);
  }

  choose(name = this.#cursor ?? this.visible[0]) {
    if (name === undefined) return;
    this.shown = name;
    this.#point(name);
    this.draw();
    this.#chosen(name);
  }

  draw() {
    const passed = (performance.now() - this.#came) / 1000;
    const names = new Set(this.visible);
    for (const [name, row] of this.#rows) if (!names.has(name)) this.#rows.delete(name) && row.remove();
    let before = null;
    for (const said of this.#all) {
      if (!names.has(said.session)) continue;
      const row = this.#rows.get(said.session) ?? this.#add(said.session);
      this.#write(row, said, passed);
      const place = before ? before.nextSibling : this.#box.firstChild;
      if (row !== place) this.#box.insertBefore(row, place);
      before = row;
    }
    if (!names.has(this.#cursor)) this.#point(null);
  }

  #add(name) {
    const row = make("li", "session");
    row.name = name;
    row.id = `session-${(this.#ids += 1)}`;
    row.setAttribute("role", "option");
    for (const part of ["name", "age", "counts"]) row.append(make("span", part));
    row.children[0].textContent = name;
    row.title = name;
    this.#rows.set(name, row);
    return row;
  }

  #write(row, said, passed) {
    const [, when, counts] = row.children;
    const set = (element, text) => element.textContent === text || (element.textContent = text);
    set(when, said.open ? age(said.seen + passed) : "ended");
    set(counts, `${counted(said.words, "word")} · ${counted(said.spans, "span")}`);
    row.setAttribute("aria-selected", String(said.session === this.shown));
    row.classList.toggle("over", !said.open);
    row.classList.toggle("lively", said.open && said.seen + passed < 3);
  }

  #point(name) {
    if (this.#cursor !== null) this.#rows.get(this.#cursor)?.classList.remove("cursor");
    this.#cursor = name ?? null;
    const row = this.#rows.get(this.#cursor);
    row?.classList.add("cursor");
    row?.scrollIntoView({ block: "nearest" });
    if (row) this.#box.setAttribute("aria-activedescendant", row.id);
    else this.#box.removeAttribute("aria-activedescendant");
  }
}
